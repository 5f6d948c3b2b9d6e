//! Polygons: is a point inside, how much of a box is.
//!
//! Where edges cross, the even-odd rule holds: what is enclosed an odd number of times is inside. A polygon is taken
//! apart once, when it is made: the heights of all corners and crossings cut it into slabs in which no two edges
//! cross, and in a slab the edges from left to right are in turns left and right sides of what is inside. Pieces of
//! an edge that are the same side in neighbouring slabs are joined again, so a polygon without crossings has
//! as many sides as edges. A box's overlap is then one sum over the sides.

use crate::vision::geometry::Rect;

/// What lies at the very right or lower edge of the picture belongs to its last pixel.
const LAST: f64 = 1.0 - 1e-6;
/// A side that leans by less than this within a box is taken for upright: what that costs is far below a pixel.
const UPRIGHT: f64 = 1e-7;

/// A polygon in normalised coordinates: 0..1 of a picture, origin top left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polygon {
    /// Left, top, right, bottom.
    bounds: [f64; 4],
    edges: Vec<Edge>,
    sides: Vec<Side>,
}

/// An edge that is not level, from its upper end down: at height `y` in `top..bottom` it is at
/// `from + (y - top) * slope`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    top: f64,
    bottom: f64,
    from: f64,
    slope: f64,
}

/// A piece of an edge with the inside at one side of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Side {
    piece: Edge,
    /// 1 where the inside is at the left, -1 where it is at the right.
    sign: f64,
}

impl Edge {
    fn of([x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) -> Option<Self> {
        let (top, bottom, from, to) = if y0 < y1 { (y0, y1, x0, x1) } else { (y1, y0, x1, x0) };
        (bottom > top).then(|| Self { top, bottom, from, slope: (to - from) / (bottom - top) })
    }

    fn at(&self, y: f64) -> f64 {
        self.from + (y - self.top) * self.slope
    }

    /// The height at which the lines of two edges cross, where both edges are that high.
    fn crossing(&self, other: &Self) -> Option<f64> {
        let lean = self.slope - other.slope;
        let y = (other.from - other.slope * other.top - self.from + self.slope * self.top) / lean;
        // Of parallel lines it is no number or not finite, and in no range.
        (y > self.top.max(other.top) && y < self.bottom.min(other.bottom)).then_some(y)
    }
}

impl Polygon {
    /// The polygon with these corners (x, y), in either direction, closed by itself. Fewer than three enclose
    /// nothing.
    pub fn new(points: &[[f64; 2]]) -> Self {
        let next = points.iter().cycle().skip(1);
        let edges: Vec<Edge> = points.iter().zip(next).filter_map(|(a, b)| Edge::of(*a, *b)).collect();
        let mut heights: Vec<f64> = points.iter().map(|point| point[1]).collect();
        for (index, edge) in edges.iter().enumerate() {
            heights.extend(edges[index + 1..].iter().filter_map(|other| edge.crossing(other)));
        }
        heights.sort_by(f64::total_cmp);
        heights.dedup();
        let mut sides: Vec<Side> = Vec::new();
        // Of each edge, its last side.
        let mut last: Vec<Option<usize>> = vec![None; edges.len()];
        for slab in heights.windows(2) {
            let (top, bottom) = (slab[0], slab[1]);
            let middle = top + (bottom - top) / 2.0;
            let mut across: Vec<(f64, usize)> = (edges.iter().enumerate())
                .filter(|(_, edge)| edge.top <= top && edge.bottom >= bottom)
                .map(|(index, edge)| (edge.at(middle), index))
                .collect();
            across.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (place, (_, index)) in across.into_iter().enumerate() {
                let sign = if place % 2 == 0 { -1.0 } else { 1.0 };
                match last[index].and_then(|side| sides.get_mut(side)) {
                    Some(side) if side.sign == sign && side.piece.bottom == top => side.piece.bottom = bottom,
                    _ => {
                        last[index] = Some(sides.len());
                        let edge = edges[index];
                        sides.push(Side { piece: Edge { top, bottom, from: edge.at(top), ..edge }, sign });
                    }
                }
            }
        }
        let bound = |axis: usize, pick: fn(f64, f64) -> f64, from: f64| {
            points.iter().map(|point| point[axis]).fold(from, pick)
        };
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        let bounds = [
            bound(0, f64::min, low),
            bound(1, f64::min, low),
            bound(0, f64::max, high),
            bound(1, f64::max, high),
        ];
        Self { bounds, edges, sides }
    }

    /// Whether a point of the picture is inside.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        let (x, y) = (f64::from(x).min(LAST), f64::from(y).min(LAST));
        let [left, top, right, bottom] = self.bounds;
        if x < left || x > right || y < top || y > bottom {
            return false;
        }
        // An edge's lower end belongs to the next edge.
        let crosses = |edge: &Edge| (edge.top <= y) & (y < edge.bottom) & (edge.at(y) > x);
        self.edges.iter().fold(false, |inside, edge| inside ^ crosses(edge))
    }

    /// The area of a box that is inside, in shares of the picture.
    pub fn overlap(&self, rect: &Rect) -> f64 {
        let rect = [rect.left, rect.top, rect.right, rect.bottom].map(f64::from);
        let [left, top, right, bottom] = self.bounds;
        if rect[0] >= right || rect[2] <= left || rect[1] >= bottom || rect[3] <= top {
            return 0.0;
        }
        let [left, top, right, bottom] = rect;
        let width = right - left;
        // The area under `clamp(x, 0, width)`, of x from the left edge on.
        let under = |x: f64| {
            let within = x.clamp(0.0, width);
            0.5 * within * within + width * (x - width).max(0.0)
        };
        // The area between the box's left edge and each side, within the box.
        let mut sum = 0.0;
        for Side { piece, sign } in &self.sides {
            if piece.bottom <= top || piece.top >= bottom {
                continue;
            }
            let (y0, y1) = (piece.top.max(top), piece.bottom.min(bottom));
            let (x0, x1) = (piece.at(y0) - left, piece.at(y1) - left);
            let (least, most) = if x0 < x1 { (x0, x1) } else { (x1, x0) };
            let mean = if most <= 0.0 {
                continue;
            } else if least >= width {
                width
            } else if most - least < UPRIGHT {
                (0.5 * (x0 + x1)).clamp(0.0, width)
            } else {
                (under(most) - under(least)) / (most - least)
            };
            sum += sign * mean * (y1 - y0);
        }
        sum.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRID: i32 = 24;
    const ROWS: i32 = 40;

    /// Corners on a grid of whole numbers; `ROWS` rows to each cell of it, whose middles are never at a corner.
    fn polygon(points: &[(i32, i32)]) -> Polygon {
        let part = |v: i32| f64::from(v) / f64::from(GRID);
        Polygon::new(&points.iter().map(|(x, y)| [part(*x), part(*y)]).collect::<Vec<_>>())
    }

    /// Where a row of the raster enters and leaves the polygon, in cells; by the even-odd rule.
    fn row(points: &[(i32, i32)], row: i32) -> Vec<f64> {
        let y = (f64::from(row) + 0.5) / f64::from(ROWS);
        let mut crossings = Vec::new();
        for (index, a) in points.iter().enumerate() {
            let b = points[(index + 1) % points.len()];
            let (ay, by) = (f64::from(a.1), f64::from(b.1));
            if (ay < y) != (by < y) {
                crossings.push(f64::from(a.0) + (y - ay) / (by - ay) * f64::from(b.0 - a.0));
            }
        }
        crossings.sort_by(f64::total_cmp);
        crossings
    }

    fn corners() -> impl Strategy<Value = Vec<(i32, i32)>> {
        proptest::collection::vec((0..=GRID, 0..=GRID), 3..17)
    }

    proptest! {
        #[test]
        fn points_are_inside_as_in_a_raster(points in corners(), at in (0..GRID * 7, 0..GRID * ROWS)) {
            // Columns of sevenths: a crossing is never in the middle of one by chance.
            let x = (f64::from(at.0) + 0.5) / 7.0;
            let crossings = row(&points, at.1);
            // 32 bits cannot tell a point from an edge that it all but touches.
            prop_assume!(crossings.iter().all(|crossing| (crossing - x).abs() > 1e-4));
            let inside = crossings.iter().filter(|crossing| **crossing > x).count() % 2 == 1;
            let y = (f64::from(at.1) + 0.5) / f64::from(ROWS);
            let share = |v: f64| (v / f64::from(GRID)) as f32;
            prop_assert_eq!(polygon(&points).contains(share(x), share(y)), inside);
        }

        #[test]
        fn overlap_is_that_of_a_raster(
            points in corners(), a in (0..GRID, 0..GRID), size in (1..=GRID, 1..=GRID),
        ) {
            let (left, top) = a;
            let (right, bottom) = ((left + size.0).min(GRID), (top + size.1).min(GRID));
            let mut area = 0.0;
            for index in top * ROWS..bottom * ROWS {
                for pair in row(&points, index).chunks_exact(2) {
                    let edge = |v: f64| v.clamp(f64::from(left), f64::from(right));
                    area += (edge(pair[1]) - edge(pair[0])) / f64::from(ROWS);
                }
            }
            let area = area / f64::from(GRID * GRID);
            let part = |v: i32| v as f32 / GRID as f32;
            let rect = Rect::new(part(left), part(top), part(right), part(bottom));
            let found = polygon(&points).overlap(&rect);
            // Between corners and crossings the raster is exact; a row with one of them may err by a part of it.
            prop_assert!((found - area).abs() < 3e-3, "{found} {area}");
            prop_assert!(found <= f64::from(rect.area()) + 1e-6);
        }

        #[test]
        fn either_direction_and_any_start_are_the_same(points in corners(), turn in 0usize..16, x in 0.0f32..1.0, y in 0.0f32..1.0) {
            let mut other = points.clone();
            other.reverse();
            let places = other.len();
            other.rotate_left(turn % places);
            let rect = Rect::new(x / 2.0, y / 2.0, x / 2.0 + 0.3, y / 2.0 + 0.4);
            let (one, other) = (polygon(&points), polygon(&other));
            prop_assert!((one.overlap(&rect) - other.overlap(&rect)).abs() < 1e-9);
        }
    }

    #[test]
    fn simple_shapes_are_exact() {
        let whole = polygon(&[(0, 0), (GRID, 0), (GRID, GRID), (0, GRID)]);
        assert_eq!(whole.sides.len(), 2, "level edges are no sides");
        for point in [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 1.0), (1.0, 0.2)] {
            assert!(whole.contains(point.0, point.1), "{point:?}");
        }
        let rect = Rect::new(0.25, 0.5, 0.75, 1.0);
        assert!((whole.overlap(&rect) - 0.25).abs() < 1e-12);
        // A triangle has half of its box.
        let half = polygon(&[(0, 0), (GRID, 0), (0, GRID)]);
        assert!((half.overlap(&Rect::new(0.0, 0.0, 1.0, 1.0)) - 0.5).abs() < 1e-12);
        assert!(half.contains(0.2, 0.2) && !half.contains(0.8, 0.8));
        // A bow tie by the even-odd rule: both halves count, whatever their direction.
        let bow = polygon(&[(0, 0), (GRID, GRID), (GRID, 0), (0, GRID)]);
        assert!((bow.overlap(&Rect::new(0.0, 0.0, 1.0, 1.0)) - 0.5).abs() < 1e-9);
        assert!(bow.contains(0.1, 0.5) && bow.contains(0.9, 0.5) && !bow.contains(0.5, 0.1));
        // What is enclosed twice is outside.
        let twice =
            polygon(&[(0, 0), (GRID, 0), (GRID, GRID), (0, GRID), (0, 0), (12, 0), (12, 12), (0, 12)]);
        assert!(!twice.contains(0.25, 0.25) && twice.contains(0.75, 0.25));
        assert!((twice.overlap(&Rect::new(0.0, 0.0, 1.0, 1.0)) - 0.75).abs() < 1e-9);
        // Nothing is in a line.
        let line = polygon(&[(0, 0), (12, 12), (GRID, GRID)]);
        assert!(!line.contains(0.5, 0.5) && line.overlap(&Rect::new(0.0, 0.0, 1.0, 1.0)) < 1e-9);
        assert_eq!(Polygon::new(&[]).overlap(&rect), 0.0);
    }
}
