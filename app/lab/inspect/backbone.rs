//! Recognises the architecture that a model is built on, from its layers rather than its name.
//!
//! Sources: the papers of MobileNet v1 (arXiv 1704.04861), v2 (1801.04381), v3 (1905.02244), MobileDet
//! (2004.14525), EfficientNet (1905.11946) with the Lite models' description, ResNet (1512.03385), FPN
//! (1612.03144), and the published configuration of YOLOv5.

use serde::Serialize;

use super::links::{Block, Links};
use spotter_core::model::format::graph::Graph;

/// Widths behind the 17 blocks of MobileNet v2 at width multiplier 1.
const V2: [usize; 17] = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320];
/// Widths behind the 13 separable convolutions of MobileNet v1.
const V1: [usize; 13] = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024];
/// Width multipliers of published models.
const MULTIPLIERS: [f64; 10] = [0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.3, 1.4, 1.5, 2.0];
/// So many blocks in a row must agree; a detector may leave the last ones out.
const AGREEING: usize = 12;

/// What a model is built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backbone {
    /// Its name, or `unknown`.
    pub name: String,
    /// What joins its levels, where something does.
    pub neck: Option<String>,
    /// What it was recognised by, or why it was not.
    pub evidence: String,
}

impl Backbone {
    /// The architecture of a graph.
    pub fn of(graph: &Graph) -> Self {
        let links = Links::of(graph);
        let blocks = links.blocks();
        let (name, evidence) = yolov5(graph, &links)
            .or_else(|| mobile(graph, &links, &blocks))
            .or_else(|| resnet(graph, &links, &blocks))
            .unwrap_or_else(|| unknown(graph, &links, &blocks));
        Self { name, neck: neck(graph, &links), evidence }
    }
}

fn count(graph: &Graph, name: &str) -> usize {
    graph.operators.iter().filter(|operator| operator.name == name).count()
}

/// Three pools of stride 1 behind each other, joined with what went in (SPPF). The width behind them is
/// 1024 times the width multiple; the sums before them are 21 times the depth multiple.
fn yolov5(graph: &Graph, links: &Links<'_>) -> Option<(String, String)> {
    let pooled = |tensor: usize| -> Option<usize> {
        let writer = links.writer(tensor).filter(|o| o.name == "MAX_POOL_2D")?;
        (writer.options.stride == Some([1, 1])).then_some(*writer.inputs.first()?).flatten()
    };
    let (place, join) = graph.operators.iter().enumerate().find(|(_, operator)| {
        let Some(last) = operator.inputs.last().copied().flatten() else { return false };
        let chain = pooled(last).and_then(pooled).and_then(pooled);
        operator.name == "CONCATENATION" && operator.inputs.len() == 4 && chain.is_some()
    })?;
    let (after, _) = links.convolution_after(*join.outputs.first()?)?;
    let sums = links.sums().filter(|(index, _)| *index < place).count();
    let nearest = |sizes: &[(&'static str, usize)], value: usize| {
        sizes.iter().min_by_key(|(_, size)| size.abs_diff(value)).map(|(name, _)| *name)
    };
    let depth_of = [("n", 7), ("s", 7), ("m", 14), ("l", 21), ("x", 28)];
    let width_of = [("n", 256), ("s", 512), ("m", 768), ("l", 1024), ("x", 1280)];
    let size = nearest(&width_of, after.to)?;
    let expected = depth_of.iter().find(|(name, _)| *name == size).map(|(_, sums)| *sums)?;
    let stem = links.convolutions().next()?;
    let depth = if sums == expected { String::new() } else { ", of a depth of its own".to_string() };
    let evidence = format!(
        "SPPF, {sums} residual bottlenecks, {} channels at the end, stem {}×{} with {} channels{depth}",
        after.to, stem.kernel, stem.kernel, stem.to
    );
    Some((format!("YOLOv5{size}"), evidence))
}

/// The families that are made of depthwise convolutions.
fn mobile(graph: &Graph, links: &Links<'_>, blocks: &[Block]) -> Option<(String, String)> {
    let inverted: Vec<&Block> = blocks.iter().filter(|block| block.is_inverted()).collect();
    let (excites, swishes) = (links.squeeze_excites(), count(graph, "HARD_SWISH"));
    let (fused, tucker) = (links.fused_blocks(), links.tucker_blocks());
    let groups = links.grouped_convolutions();
    let wide = inverted.iter().filter(|block| block.kernel == 5).count();
    let inside = format!("{} inverted residuals", inverted.len());
    if inverted.len() >= 4 && groups >= 3 {
        let evidence = format!("{groups} fused blocks with grouped convolutions, {inside}");
        return Some(("SpaghettiNet".into(), evidence));
    }
    if inverted.len() >= 4 && fused >= 3 {
        let evidence = format!("{fused} fused inverted residuals, {tucker} Tucker convolutions, {inside}");
        let name = if tucker > 0 { "MobileDet" } else { "MobileNet EdgeTPU" };
        return Some((name.into(), evidence));
    }
    if excites >= 3 && count(graph, "LOGISTIC") < inverted.len() {
        let size = match inverted.len() {
            8..=11 => "small",
            12..=16 => "large",
            _ => return None,
        };
        let evidence =
            format!("{inside}, {excites} squeeze-and-excite, {swishes} hard-swish, {wide} kernels of 5×5");
        return Some((format!("MobileNet v3 {size}"), evidence));
    }
    if let Some(multiplier) = multiplier(&residual_widths(blocks), &V2) {
        let evidence = format!("{inside}, widths of MobileNet v2 times {multiplier}");
        return Some((format!("MobileNet v2 {multiplier}"), evidence));
    }
    if wide >= 5 && swishes == 0 {
        return efficientnet(graph, &inverted, excites, &inside);
    }
    let separable: Vec<usize> = blocks.iter().map(|block| block.projects).collect();
    if inverted.is_empty()
        && let Some(multiplier) = multiplier(&separable, &V1)
    {
        let evidence = format!("{} separable convolutions, widths times {multiplier}", blocks.len());
        return Some((format!("MobileNet v1 {multiplier}"), evidence));
    }
    None
}

/// Widths behind the inverted residuals, and behind the first block, which has nothing to widen.
fn residual_widths(blocks: &[Block]) -> Vec<usize> {
    let first = blocks.first().filter(|block| !block.is_inverted() && block.projects <= block.channels);
    let rest = blocks.iter().filter(|block| block.is_inverted());
    first.into_iter().chain(rest).map(|block| block.projects).collect()
}

/// The multiplier that makes `standard` widths of `widths`, as far as both go. Widths are rounded to 8 or not
/// at all, or all of them to 6, as ARTPEC-8 likes them.
fn multiplier(widths: &[usize], standard: &[usize]) -> Option<String> {
    if widths.len() < AGREEING {
        return None;
    }
    let agrees = |multiplier: f64| {
        let all = |fits: &dyn Fn(usize, f64) -> bool| {
            widths.iter().zip(standard).all(|(width, standard)| fits(*width, *standard as f64 * multiplier))
        };
        all(&|width, exact| width == divisible_by(8, exact) || width == exact.round() as usize)
            || all(&|width, exact| width == divisible_by(6, exact))
    };
    MULTIPLIERS.into_iter().find(|m| agrees(*m)).map(|m| if m == 1.0 { "1.0".into() } else { m.to_string() })
}

/// The nearest multiple that loses no more than a tenth (`_make_divisible` of the MobileNet papers' reference
/// code, whose divisor is 8).
fn divisible_by(divisor: usize, exact: f64) -> usize {
    let divisor = divisor as f64;
    let rounded = ((exact + divisor / 2.0) / divisor).floor().max(1.0) * divisor;
    (if rounded < 0.9 * exact { rounded + divisor } else { rounded }) as usize
}

/// EfficientNet by its number of blocks: stages of 1, 2, 2, 3, 3, 4, 1 times the depth multiplier.
fn efficientnet(
    graph: &Graph,
    inverted: &[&Block],
    excites: usize,
    inside: &str,
) -> Option<(String, String)> {
    // The first block has nothing to widen and is not among the inverted ones.
    let blocks = inverted.len() + 1;
    let evidence = format!("{inside}, some with kernels of 5×5, {excites} squeeze-and-excite");
    if excites > 0 {
        return (count(graph, "LOGISTIC") >= excites)
            .then(|| (format!("EfficientNet, {blocks} blocks"), evidence));
    }
    let third = inverted.iter().find(|block| block.kernel == 5).map_or(0, |block| block.projects);
    let size = match blocks {
        16 => 0,
        21 if third <= 40 => 1,
        21..=23 => 2,
        24..=28 => 3,
        29..=32 => 4,
        _ => return None,
    };
    Some((format!("EfficientNet-Lite{size}"), evidence))
}

/// Residual sums of two 3×3 convolutions (18, 34), or of one between two 1×1 (50 and more).
fn resnet(graph: &Graph, links: &Links<'_>, blocks: &[Block]) -> Option<(String, String)> {
    if !blocks.is_empty() || count(graph, "DEPTHWISE_CONV_2D") > 0 || count(graph, "CONCATENATION") > 4 {
        return None;
    }
    let sums = links.sums().count();
    let full = links.convolutions().filter(|c| c.kernel == 3).count();
    if sums < 4 {
        return None;
    }
    let basic = full * 2 >= sums * 3;
    let evidence = format!("{sums} residual sums, {full} convolutions of 3×3, none depthwise");
    let name = match (basic, sums) {
        (true, 8) => "ResNet-18",
        (true, 16) => "ResNet-34",
        (false, 16) => "ResNet-50",
        (false, 33) => "ResNet-101",
        (false, 50) => "ResNet-152",
        _ => "ResNet-like",
    };
    Some((name.to_string(), evidence))
}

fn unknown(graph: &Graph, links: &Links<'_>, blocks: &[Block]) -> (String, String) {
    let custom = graph.operators.iter().filter(|operator| operator.custom).count();
    let evidence = if custom > 0 && links.convolutions().next().is_none() {
        "its layers are inside custom operators, which cannot be looked into".to_string()
    } else {
        let inverted = blocks.iter().filter(|block| block.is_inverted()).count();
        format!(
            "{} convolutions, {} depthwise, {inverted} inverted residuals, {} residual sums: like none that is known",
            count(graph, "CONV_2D"),
            count(graph, "DEPTHWISE_CONV_2D"),
            links.sums().count()
        )
    };
    ("unknown".to_string(), evidence)
}

/// What joins the levels of a backbone.
fn neck(graph: &Graph, links: &Links<'_>) -> Option<String> {
    let resizes = |o: &&spotter_core::model::format::graph::Operator| o.name.starts_with("RESIZE_");
    let joined = graph.operators.iter().filter(resizes).filter(|operator| {
        operator.outputs.first().is_some_and(|output| {
            links.readers(*output).take(16).any(|reader| reader.name == "CONCATENATION")
        })
    });
    let pooled = graph.operators.iter().filter(resizes).any(|operator| {
        graph.input(operator, 0).is_some_and(|input| matches!(input.shape[..], [_, 1, 1, _]))
    });
    if pooled {
        return Some("ASPP".into());
    }
    if joined.count() >= 2 {
        return Some("PANet".into());
    }
    if links.merged_levels() >= 2 {
        let lite = count(graph, "DEPTHWISE_CONV_2D") > 0;
        return Some(if lite { "FPN-Lite" } else { "FPN" }.into());
    }
    None
}
