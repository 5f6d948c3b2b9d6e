//! Scales the components of a frame, one output row at a time.

use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::{Component, Frame, FrameLayout};

use super::kernels::{self, PADDING};
use super::resample::{Axis, ColumnTable, Resample, RowTable};

/// The longest side of a frame that is accepted.
const MAX_SIDE: usize = 1 << 16;

/// The planes of a frame: bytes from the first row on, and pitch.
pub(super) type Planes<'a> = [(&'a [u8], usize); 3];

/// The planes of a frame, or [`Kind::Source`] where they hold less than its layout says.
pub(super) fn planes(frame: &Frame) -> Result<Planes<'_>> {
    let FrameLayout { width, height, format, .. } = frame.layout;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(Error::new(
            Kind::Source,
            format!("a frame of {width}x{height} pixels cannot be used; sides may be 1 to {MAX_SIDE}"),
        ));
    }
    let mut planes: Planes = [(&[], 0); 3];
    for (index, plane) in planes.iter_mut().enumerate().take(format.plane_count()) {
        let (bytes, pitch) = frame.pixels.plane(index);
        let row = format.plane_row_bytes(index, width);
        let rows = format.plane_rows(index, height);
        let needed = pitch.checked_mul(rows - 1).and_then(|above| above.checked_add(row));
        if (rows > 1 && pitch < row) || needed.is_none_or(|needed| bytes.len() < needed) {
            return Err(Error::new(
                Kind::Source,
                format!(
                    "plane {index} of a {width}x{height} {format:?} frame holds {} bytes at a pitch of \
                     {pitch}; {rows} rows of {row} bytes are needed",
                    bytes.len()
                ),
            ));
        }
        *plane = (bytes, pitch);
    }
    Ok(planes)
}

/// The part of a picture that is scaled, and to how many pixels. Continuous picture coordinates:
/// pixel `i` covers `i..i + 1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Left and top edge of the part.
    pub origin: (f64, f64),
    /// Picture pixels per output pixel, across and down.
    pub step: (f64, f64),
    /// Output columns and rows.
    pub size: (usize, usize),
}

/// Scales some components of frames of one layout to one [`Grid`].
#[derive(Debug)]
pub(super) struct Scaler {
    /// By picture columns per sample: tables for 1 and 2.
    columns: [Option<ColumnTable>; 2],
    /// By picture rows per sample: tables for 1 and 2.
    rows: [Option<RowTable>; 2],
    planes: Vec<PlaneRow>,
    components: Vec<ComponentRow>,
}

/// One row of a plane, scaled vertically.
#[derive(Debug)]
struct PlaneRow {
    plane: usize,
    sub_y: usize,
    /// The bytes of a plane's row that are needed.
    bytes: std::ops::Range<usize>,
    samples: Vec<i16>,
}

/// One row of a component, scaled both ways.
#[derive(Debug)]
struct ComponentRow {
    /// Index in [`Scaler::planes`].
    plane: usize,
    /// Where the first sample needed is in the plane's row, and how far the next is from it.
    at: usize,
    step: usize,
    sub_x: usize,
    /// The samples side by side; unused where they are so in the plane.
    gathered: Vec<i16>,
    /// The result; unused where no column is scaled.
    scaled: Vec<i16>,
}

impl Scaler {
    /// Prepares tables and rows for `components` of frames of `layout`.
    pub(super) fn new(
        layout: &FrameLayout,
        components: &[Component],
        grid: &Grid,
        resample: Resample,
    ) -> Self {
        let mut scaler =
            Self { columns: [None, None], rows: [None, None], planes: Vec::new(), components: Vec::new() };
        let filter = resample.filter(grid.step.0.min(grid.step.1));
        let axis = |sub: usize, sited: bool, origin: f64, step: f64, outputs: usize, pixels: usize| Axis {
            start: origin / sub as f64 + if sited && sub == 2 { 0.25 } else { 0.0 },
            scale: step / sub as f64,
            outputs,
            samples: pixels.div_ceil(sub),
            filter,
        };
        for component in components {
            let Component { plane, offset, step, sub_x, sub_y } = *component;
            if let Some(table @ None) = scaler.rows.get_mut(sub_y - 1) {
                let (origin, step, outputs) = (grid.origin.1, grid.step.1, grid.size.1);
                let axis = axis(sub_y, layout.chroma_top, origin, step, outputs, layout.height);
                *table = Some(RowTable::new(&axis));
            }
            let Some(table) = scaler.columns.get_mut(sub_x - 1) else { continue };
            let columns = table.get_or_insert_with(|| {
                let (origin, step, outputs) = (grid.origin.0, grid.step.0, grid.size.0);
                ColumnTable::new(&axis(sub_x, layout.chroma_left, origin, step, outputs, layout.width))
            });
            let begin = offset + columns.first * step;
            let bytes = begin..begin + columns.count.saturating_sub(1) * step + 1;
            let index = match scaler.planes.iter().position(|row| row.plane == plane) {
                Some(index) => index,
                None => {
                    let row = PlaneRow { plane, sub_y, bytes: bytes.clone(), samples: Vec::new() };
                    scaler.planes.push(row);
                    scaler.planes.len() - 1
                }
            };
            if let Some(row) = scaler.planes.get_mut(index) {
                row.bytes = row.bytes.start.min(bytes.start)..row.bytes.end.max(bytes.end);
            }
            let gathered = if step == 1 { 0 } else { columns.count + PADDING };
            let scaled = if columns.identity { 0 } else { grid.size.0 };
            scaler.components.push(ComponentRow {
                plane: index,
                at: begin,
                step,
                sub_x,
                gathered: vec![0; gathered],
                scaled: vec![0; scaled],
            });
        }
        for row in &mut scaler.planes {
            row.samples = vec![0; row.bytes.len() + PADDING];
        }
        for component in &mut scaler.components {
            component.at -= scaler.planes.get(component.plane).map_or(0, |row| row.bytes.start);
        }
        scaler
    }

    /// Scales output row `index` of all components.
    pub(super) fn run(&mut self, planes: &Planes, index: usize) {
        for row in &mut self.planes {
            let Some(table) = self.rows.get(row.sub_y - 1).and_then(Option::as_ref) else { continue };
            let taps = table.row(index);
            let Some((bytes, pitch)) = planes.get(row.plane) else { continue };
            let Some(bytes) = bytes.get(taps.first * pitch + row.bytes.start..) else { continue };
            let Some(samples) = row.samples.get_mut(..row.bytes.len()) else { continue };
            kernels::blend_rows(bytes, *pitch, taps, samples);
        }
        for component in &mut self.components {
            let Some(table) = self.columns.get(component.sub_x - 1).and_then(Option::as_ref) else {
                continue;
            };
            let Some(plane) = self.planes.get(component.plane) else { continue };
            let Some(mut row) = plane.samples.get(component.at..) else { continue };
            if component.step != 1 {
                let Some(gathered) = component.gathered.get_mut(..table.count) else { continue };
                kernels::gather(row, component.step, gathered);
                row = &component.gathered;
            }
            if !table.identity {
                kernels::blend_columns(row, table, &mut component.scaled);
            }
        }
    }

    /// The row of component `index` that [`Scaler::run`] has made, at least as long as the grid is
    /// wide. Empty where there is no such component.
    pub(super) fn row(&self, index: usize) -> &[i16] {
        let Some(component) = self.components.get(index) else { return &[] };
        if !component.scaled.is_empty() {
            &component.scaled
        } else if component.step != 1 {
            &component.gathered
        } else {
            let plane = self.planes.get(component.plane);
            plane.and_then(|row| row.samples.get(component.at..)).unwrap_or_default()
        }
    }
}
