//! How fast the machine could be at best with this clip and model, from what decoding and inference take alone.

use std::time::Duration;

/// Events over time, and what they cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    /// How many.
    pub count: u64,
    /// How long that took.
    pub time: Duration,
    /// Processor time of the whole process meanwhile.
    pub cpu: Duration,
}

impl Measured {
    /// Takes in another measurement of the same.
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.time += other.time;
        self.cpu += other.cpu;
    }

    /// Events a second.
    pub(super) fn per_second(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Seconds of processor time an event.
    pub(super) fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() / self.count.max(1) as f64
    }
}

/// Frames a second that a pipeline of both cannot exceed: the slower of the two, or what the processors have time for.
pub(super) fn limit(decoding: &Measured, inference: &Measured, processors: usize) -> f64 {
    let both = (decoding.cpu_each() + inference.cpu_each()).max(1e-9);
    decoding.per_second().min(inference.per_second()).min(processors as f64 / both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(per_second: u64, cpu_ms: u64) -> Measured {
        let cpu = Duration::from_millis(cpu_ms * per_second);
        Measured { count: per_second, time: Duration::from_secs(1), cpu }
    }

    #[test]
    fn the_limit_is_the_scarcest_of_three() {
        let of = |decoding, inference, processors| limit(&decoding, &inference, processors).round();
        assert_eq!(of(measured(30, 2), measured(100, 5), 4), 30.0);
        assert_eq!(of(measured(300, 2), measured(50, 20), 4), 50.0);
        // 5 + 15 ms of processor time a frame on one processor.
        assert_eq!(of(measured(300, 5), measured(60, 15), 1), 50.0);
        assert_eq!(of(measured(300, 5), measured(60, 15), 2), 60.0);
    }

    #[test]
    fn measurements_add_up() {
        let mut sum = Measured::default();
        assert_eq!((sum.per_second(), sum.cpu_each()), (0.0, 0.0));
        sum.add(measured(10, 4));
        sum.add(measured(30, 4));
        assert_eq!((sum.count, sum.per_second()), (40, 20.0));
        assert!((sum.cpu_each() - 0.004).abs() < 1e-12);
    }
}
