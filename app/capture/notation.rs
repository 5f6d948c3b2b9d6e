//! How people write what a source is to give.

/// Columns and rows of a picture, in pixels.
pub type Size = (u32, u32);

/// Frames a second at most; more than any screen or model takes.
const MOST_FPS: f64 = 240.0;

/// A frame rate: "25", "12.5" or "30000/1001".
///
/// # Errors
/// A sentence where it is none, or not above 0 and to 240.
pub fn fps(text: &str) -> std::result::Result<(i32, i32), String> {
    let fraction = match text.split_once('/') {
        Some((n, d)) => n.parse().ok().zip(d.parse().ok()),
        // Thousandths are as fine as people write them.
        None => text.parse::<f64>().ok().filter(|rate| *rate <= MOST_FPS).map(|rate| {
            let thousandths = (rate * 1000.0).round() as i32;
            if thousandths % 1000 == 0 { (thousandths / 1000, 1) } else { (thousandths, 1000) }
        }),
    };
    fraction
        .filter(|(n, d): &(i32, i32)| *n > 0 && *d > 0 && f64::from(*n) / f64::from(*d) <= MOST_FPS)
        .ok_or_else(|| {
            format!("\"{text}\" is no frame rate; give a number above 0 and to {MOST_FPS}, or 30000/1001")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_checked() {
        assert_eq!(
            (fps("25"), fps("30000/1001"), fps("240")),
            (Ok((25, 1)), Ok((30000, 1001)), Ok((240, 1)))
        );
        assert_eq!((fps("12.5"), fps("0.001")), (Ok((12_500, 1000)), Ok((1, 1000))));
        for bad in
            ["", "0", "-1", "241", "NaN", "inf", "1/0", "0/1", "-1/-1", "1/2/3", "99999999999/1", "0.0001"]
        {
            assert!(fps(bad).unwrap_err().starts_with(&format!("\"{bad}\" is no frame rate; give ")));
        }
    }
}
