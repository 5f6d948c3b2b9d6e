use super::*;
use crate::clock::SimulatedClock;
use std::sync::atomic::{AtomicUsize, Ordering};

fn fault(code: i32) -> Fault {
    Fault { code, doing: "do it".into(), said: "said".into() }
}
