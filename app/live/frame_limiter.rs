//! At most so many frames a second: which ones go on.

use std::time::{Duration, Instant};

/// Picks frames so that over any time no more go on than the limit allows, as evenly as they come.
#[derive(Debug, Default)]
pub struct Limiter {
    interval: Option<Duration>,
    due: Option<Instant>,
}

impl Limiter {
    /// From now on at most so many frames a second; all of them without a limit.
    pub fn set(&mut self, per_second: Option<f64>) {
        let seconds = per_second.filter(|rate| *rate > 0.0).map(f64::recip);
        let interval = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        if self.interval != interval {
            (self.interval, self.due) = (interval, None);
        }
    }

    /// Whether the frame that arrived then goes on. One that is nearer to its time than to that of the frame before
    /// does, so frames that come unevenly but not too often all go on.
    pub fn takes(&mut self, arrived: Instant) -> bool {
        let Some(interval) = self.interval else { return true };
        let half = interval / 2;
        let due = self.due.unwrap_or(arrived);
        if arrived + half < due {
            return false;
        }
        // Where frames came late their time is not made up for.
        let late = arrived.checked_sub(half).unwrap_or(arrived);
        self.due = Some(due.max(late) + interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many of the frames that arrive at these milliseconds go on.
    fn taken(limiter: &mut Limiter, begun: Instant, arrivals: impl Iterator<Item = u64>) -> usize {
        arrivals.filter(|ms| limiter.takes(begun + Duration::from_millis(*ms))).count()
    }

    #[test]
    fn the_rate_is_the_limit_or_that_of_the_source() {
        for (interval, limit, expected) in
            [(40, 10.0, 100), (40, 25.0, 250), (40, 60.0, 250), (33, 10.0, 100), (40, 0.5, 5)]
        {
            let mut limiter = Limiter::default();
            limiter.set(Some(limit));
            let count =
                taken(&mut limiter, Instant::now(), (0..10_000 / interval).map(|i| i * interval)) as i64;
            assert!((count - expected).abs() <= expected / 50 + 1, "{interval} {limit}: {count}");
        }
        // Frames that shake lose none at their own rate.
        let mut limiter = Limiter::default();
        limiter.set(Some(25.0));
        let shaking = (0..250).map(|i| i * 40 + [9, 0, 14, 5, 11][i as usize % 5]);
        assert_eq!(taken(&mut limiter, Instant::now(), shaking), 250);
    }

    #[test]
    fn a_limit_acts_at_once_and_goes_at_once() {
        let (mut limiter, begun) = (Limiter::default(), Instant::now());
        assert_eq!(taken(&mut limiter, begun, (0..10).map(|i| i * 10)), 10);
        limiter.set(Some(1.0));
        assert_eq!(taken(&mut limiter, begun, (10..60).map(|i| i * 10)), 1);
        limiter.set(None);
        assert_eq!(taken(&mut limiter, begun, (60..70).map(|i| i * 10)), 10);
        limiter.set(Some(0.0));
        assert!(limiter.takes(begun));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit(gaps in proptest::collection::vec(0u64..200, 1..200), limit in 1u32..50) {
            let (mut limiter, begun) = (Limiter::default(), Instant::now());
            limiter.set(Some(f64::from(limit)));
            let arrivals: Vec<u64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let length = arrivals.last().unwrap() - arrivals[0];
            let count = taken(&mut limiter, begun, arrivals.into_iter());
            prop_assert!(count as f64 <= length as f64 / 1000.0 * f64::from(limit) + 1.51, "{count} in {length} ms");
        }
    }
}
