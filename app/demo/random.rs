//! Numbers that look random and follow from a seed, the same on every machine.

/// The generator SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Random {
    /// The sequence that belongs to `keys`: for example a seed, a scene and a figure.
    pub fn of(keys: &[u64]) -> Self {
        Self(
            keys.iter()
                .fold(0, |state, key| scramble(state.wrapping_add(STEP) ^ scramble(key.wrapping_add(STEP)))),
        )
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        scramble(self.0)
    }

    /// In 0..1.
    pub fn unit(&mut self) -> f32 {
        // 24 bits: what a f32 holds exactly.
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// In `low..high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True in a share of `share` of all cases.
    pub fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    /// In `0..count`; 0 where there is nothing to choose from.
    pub fn index(&mut self, count: usize) -> usize {
        ((self.unit() * count as f32) as usize).min(count.saturating_sub(1))
    }

    /// One of `items`.
    pub fn pick<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        items[self.index(N)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_follow_from_their_keys() {
        let first = |keys: &[u64]| Random::of(keys).bits();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        let all = [first(&[]), first(&[0]), first(&[0, 0]), first(&[1, 2]), first(&[2, 1]), first(&[1, 3])];
        let distinct: std::collections::HashSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn numbers_stay_in_their_range_and_fill_it() {
        let mut random = Random::of(&[7]);
        let mut counts = [0u32; 5];
        for _ in 0..10_000 {
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            counts[random.index(5)] += 1;
            assert!((-2.0..3.0).contains(&random.between(-2.0, 3.0)));
        }
        assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
        assert_eq!(random.index(0), 0);
    }
}
