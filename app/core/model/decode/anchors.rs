//! The anchors of SSD models whose files do not have them: the two generators that published models are
//! trained with.
//!
//! Source: the TensorFlow Object Detection API, `ssd_anchor_generator` (`create_ssd_anchors`,
//! `MultipleGridAnchorGenerator`) and `multiscale_grid_anchor_generator`, with the parameters of the
//! published configurations: scales 0.2 to 0.95, aspect ratios 1, 2, 1/2, 3, 1/3,
//! `reduce_boxes_in_lowest_layer`, `interpolated_scale_aspect_ratio` 1; and levels 3 to 7, anchor scale 4,
//! aspect ratios 1, 2, 1/2, two scales an octave.

/// An anchor as centre y, centre x, height, width, in parts of the input.
pub type Anchor = [f32; 4];

/// Which generator the anchors are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// SSD MobileNet v1, v2, v3 and MobileDet: six grids, the first of stride 16 with three anchors a
    /// cell, each following of half the cells with six. 1917 anchors at 300×300, 2034 at 320×320.
    Ssd,
    /// FPN-Lite: grids of stride 8 to 128 with six anchors a cell. 12804 anchors at 320×320, 51150 at
    /// 640×640.
    Fpn,
}

/// Grids of [`Layout::Ssd`].
const SSD_GRIDS: usize = 6;
const SSD_LOWEST_SCALE: f64 = 0.2;
const SSD_HIGHEST_SCALE: f64 = 0.95;
/// As the configurations write a third.
const SSD_RATIOS: [f64; 5] = [1.0, 2.0, 0.5, 3.0, 0.3333];
/// Strides of [`Layout::Fpn`]: levels 3 to 7.
const FPN_STRIDES: [usize; 5] = [8, 16, 32, 64, 128];
const FPN_ANCHOR_SCALE: f64 = 4.0;
const FPN_RATIOS: [f64; 3] = [1.0, 2.0, 0.5];
const FPN_SCALES_PER_OCTAVE: usize = 2;

impl Layout {
    /// The layout that has so many anchors for an input of `height` × `width` pixels; `None` where none
    /// of them has.
    pub fn of(height: usize, width: usize, anchors: usize) -> Option<Self> {
        [Self::Ssd, Self::Fpn].into_iter().find(|layout| layout.count(height, width) == Some(anchors))
    }

    /// How many anchors an input of `height` × `width` pixels has; `None` where it is empty or too many.
    pub fn count(self, height: usize, width: usize) -> Option<usize> {
        if height == 0 || width == 0 {
            return None;
        }
        self.grids(height, width).iter().zip(0..).try_fold(0usize, |sum, ([rows, columns], grid)| {
            sum.checked_add(rows.checked_mul(*columns)?.checked_mul(self.per_cell(grid))?)
        })
    }

    /// Rows and columns of each grid: convolutions of stride 2 round up.
    fn grids(self, height: usize, width: usize) -> Vec<[usize; 2]> {
        match self {
            Self::Ssd => {
                let first = [height, width].map(|size| size.div_ceil(16));
                let halved = |grid: &[usize; 2]| Some(grid.map(|cells| cells.div_ceil(2)));
                std::iter::successors(Some(first), halved).take(SSD_GRIDS).collect()
            }
            Self::Fpn => FPN_STRIDES.map(|stride| [height, width].map(|size| size.div_ceil(stride))).to_vec(),
        }
    }

    fn per_cell(self, grid: usize) -> usize {
        match self {
            Self::Ssd if grid == 0 => 3,
            Self::Ssd => SSD_RATIOS.len() + 1,
            Self::Fpn => FPN_RATIOS.len() * FPN_SCALES_PER_OCTAVE,
        }
    }

    /// Whether a file of anchors, float32 left, top, right, bottom of each in parts of the input, has these.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_file(self, height: usize, width: usize, file: &[u8]) -> Result<(), String> {
        /// A published configuration writes 0.3333 for a third.
        const NEAR: f32 = 1e-3;
        let own = self.anchors(height, width);
        let (rows, rest) = file.as_chunks::<16>();
        if rows.len() != own.len() || !rest.is_empty() {
            return Err(format!("{} bytes are not {} anchors of four numbers", file.len(), own.len()));
        }
        for (row, (bytes, [y, x, h, w])) in rows.iter().zip(own).enumerate() {
            let (numbers, _) = bytes.as_chunks::<4>();
            let edges = [0, 1, 2, 3].map(|edge| f32::from_le_bytes(numbers[edge]));
            let wanted = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
            // NaN is near nothing.
            if !edges.iter().zip(wanted).all(|(edge, wanted)| (edge - wanted).abs() <= NEAR) {
                return Err(format!("anchor {row} is {edges:?}, not {wanted:?}"));
            }
        }
        Ok(())
    }

    /// The anchors in the order of the model's rows, [`Layout::count`] of them.
    pub fn anchors(self, height: usize, width: usize) -> Vec<Anchor> {
        let mut anchors = Vec::with_capacity(self.count(height, width).unwrap_or(0));
        let size = [height as f64, width as f64];
        for (number, [rows, columns]) in self.grids(height, width).into_iter().enumerate() {
            let (step, offset) = match self {
                Self::Ssd => {
                    let step = [1.0 / rows as f64, 1.0 / columns as f64];
                    (step, step.map(|step| step / 2.0))
                }
                Self::Fpn => {
                    let stride = FPN_STRIDES[number];
                    let step = size.map(|size| stride as f64 / size);
                    // Where the input is no multiple of the stride the generator leaves the half step out.
                    let half = |side: usize, step: f64| {
                        if [height, width][side].is_multiple_of(stride) { step / 2.0 } else { 0.0 }
                    };
                    (step, [half(0, step[0]), half(1, step[1])])
                }
            };
            let shapes = match self {
                Self::Ssd => ssd_shapes(number, size),
                Self::Fpn => fpn_shapes(FPN_STRIDES[number], size),
            };
            for row in 0..rows {
                for column in 0..columns {
                    let y = row as f64 * step[0] + offset[0];
                    let x = column as f64 * step[1] + offset[1];
                    anchors.extend(shapes.iter().map(|[h, w]| [y, x, *h, *w].map(|value| value as f32)));
                }
            }
        }
        anchors
    }
}

/// Heights and widths of the anchors of a cell of grid `grid`, in parts of the input.
fn ssd_shapes(grid: usize, [height, width]: [f64; 2]) -> Vec<[f64; 2]> {
    let scale = |grid: usize| match grid {
        SSD_GRIDS.. => 1.0,
        grid => {
            let step = (SSD_HIGHEST_SCALE - SSD_LOWEST_SCALE) / (SSD_GRIDS - 1) as f64;
            SSD_LOWEST_SCALE + step * grid as f64
        }
    };
    let mut scales_and_ratios: Vec<(f64, f64)> = if grid == 0 {
        vec![(0.1, 1.0), (scale(0), 2.0), (scale(0), 0.5)]
    } else {
        SSD_RATIOS.iter().map(|ratio| (scale(grid), *ratio)).collect()
    };
    if grid > 0 {
        scales_and_ratios.push(((scale(grid) * scale(grid + 1)).sqrt(), 1.0));
    }
    // A scale is a part of the shorter side.
    let shorter = height.min(width);
    let shape = |(scale, ratio): (f64, f64)| {
        [scale / ratio.sqrt() * shorter / height, scale * ratio.sqrt() * shorter / width]
    };
    scales_and_ratios.into_iter().map(shape).collect()
}

/// Heights and widths of the anchors of a cell of the grid of that stride, in parts of the input.
fn fpn_shapes(stride: usize, [height, width]: [f64; 2]) -> Vec<[f64; 2]> {
    let scale = |step: usize| {
        FPN_ANCHOR_SCALE * stride as f64 * 2f64.powf(step as f64 / FPN_SCALES_PER_OCTAVE as f64)
    };
    let of_ratio = |ratio: f64| {
        (0..FPN_SCALES_PER_OCTAVE)
            .map(move |step| [scale(step) / ratio.sqrt() / height, scale(step) * ratio.sqrt() / width])
    };
    FPN_RATIOS.into_iter().flat_map(of_ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_published_file_is_held_against_them() {
        let edges = |[y, x, h, w]: Anchor| [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
        let rows: Vec<u8> =
            Layout::Ssd.anchors(300, 300).into_iter().flat_map(edges).flat_map(f32::to_le_bytes).collect();
        assert_eq!(rows.len(), 1917 * 16);
        assert_eq!(Layout::Ssd.check_file(300, 300, &rows), Ok(()));
        assert!(Layout::Ssd.check_file(300, 300, &rows[16..]).unwrap_err().contains("are not 1917 anchors"));
        // Top and left changed round, another scale, no number.
        for (at, value) in [(0, 0.5f32), (16 * 1916 + 8, 0.7), (4, f32::NAN)] {
            let mut other = rows.clone();
            other[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let why = Layout::Ssd.check_file(300, 300, &other).unwrap_err();
            assert!(why.starts_with(&format!("anchor {} is [", at / 16)), "{why}");
        }
    }

    #[test]
    fn published_sizes_have_their_counts() {
        for (layout, side, count) in [
            (Layout::Ssd, 300, 1917),
            (Layout::Ssd, 320, 2034),
            (Layout::Fpn, 320, 12804),
            (Layout::Fpn, 640, 51150),
        ] {
            assert_eq!(layout.count(side, side), Some(count));
            assert_eq!(Layout::of(side, side, count), Some(layout));
        }
        assert_eq!(Layout::of(300, 300, 1918), None);
        assert_eq!(Layout::of(0, 300, 0), None);
        assert_eq!(Layout::Fpn.count(usize::MAX, usize::MAX), None);
    }

    fn assert_near(found: Anchor, expected: [f32; 4]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
    }

    #[test]
    fn ssd_anchors_by_hand() {
        let anchors = Layout::Ssd.anchors(300, 300);
        let root = 2f32.sqrt();
        assert_near(anchors[0], [0.5 / 19.0, 0.5 / 19.0, 0.1, 0.1]);
        assert_near(anchors[1], [0.5 / 19.0, 0.5 / 19.0, 0.2 / root, 0.2 * root]);
        assert_near(anchors[2], [0.5 / 19.0, 0.5 / 19.0, 0.2 * root, 0.2 / root]);
        assert_near(anchors[3], [0.5 / 19.0, 1.5 / 19.0, 0.1, 0.1]);
        assert_near(anchors[19 * 3], [1.5 / 19.0, 0.5 / 19.0, 0.1, 0.1]);
        // The second grid: 0.35 in five ratios, then one of the scale between 0.35 and 0.5.
        let second = &anchors[19 * 19 * 3..];
        assert_near(second[0], [0.05, 0.05, 0.35, 0.35]);
        assert_near(second[3], [0.05, 0.05, 0.35 / 3f32.sqrt(), 0.35 * 3f32.sqrt()]);
        let between = (0.35f32 * 0.5).sqrt();
        assert_near(second[5], [0.05, 0.05, between, between]);
        // The last cell: the scale after 0.95 is 1.
        let last = 0.95f32.sqrt();
        assert_near(anchors[1916], [0.5, 0.5, last, last]);
    }

    #[test]
    fn fpn_anchors_by_hand() {
        let anchors = Layout::Fpn.anchors(320, 320);
        let (root, half) = (2f32.sqrt(), 0.5f32.sqrt());
        assert_near(anchors[0], [4.0 / 320.0, 4.0 / 320.0, 0.1, 0.1]);
        assert_near(anchors[1], [4.0 / 320.0, 4.0 / 320.0, 0.1 * root, 0.1 * root]);
        assert_near(anchors[2], [4.0 / 320.0, 4.0 / 320.0, 0.1 / root, 0.1 * root]);
        assert_near(anchors[4], [4.0 / 320.0, 4.0 / 320.0, 0.1 * root, 0.1 * half]);
        assert_near(anchors[6], [4.0 / 320.0, 12.0 / 320.0, 0.1, 0.1]);
        // 320 is no multiple of 128: the last grid has no half step.
        assert_near(anchors[12804 - 54], [0.0, 0.0, 1.6, 1.6]);
        let anchors = Layout::Fpn.anchors(640, 640);
        assert_near(anchors[51150 - 150], [0.1, 0.1, 0.8, 0.8]);
    }

    #[test]
    fn scales_are_parts_of_the_shorter_side() {
        let anchors = Layout::Ssd.anchors(160, 320);
        assert_near(anchors[0], [0.05, 0.025, 0.1, 0.05]);
        let anchors = Layout::Fpn.anchors(320, 640);
        assert_near(anchors[0], [4.0 / 320.0, 4.0 / 640.0, 0.1, 0.05]);
    }

    proptest! {
        #[test]
        fn there_are_as_many_as_counted(height in 1usize..200, width in 1usize..200) {
            for layout in [Layout::Ssd, Layout::Fpn] {
                let anchors = layout.anchors(height, width);
                prop_assert_eq!(Some(anchors.len()), layout.count(height, width));
                for [y, x, h, w] in anchors {
                    prop_assert!((0.0..=1.0).contains(&y) && (0.0..=1.0).contains(&x) || layout == Layout::Fpn);
                    prop_assert!(h > 0.0 && w > 0.0 && h.is_finite() && w.is_finite());
                }
            }
        }
    }
}
