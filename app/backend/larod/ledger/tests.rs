//! The ledger in simulated time.

use super::super::sys;
use super::*;
use crate::base::clock::SimulatedClock;

const DLPU: &str = "axis-a8-dlpu-tflite";
const CPU: &str = "cpu-tflite";

fn listed() -> Vec<String> {
    ["cpu-tflite", "cpu-proc", "axis-a8-dlpu-tflite", "axis-a8-dlpu-native", "x"].map(str::to_owned).to_vec()
}

fn fault(code: i32, said: &str) -> Fault {
    Fault { code, doing: "load the model".into(), said: said.into() }
}

struct Bench {
    clock: Arc<SimulatedClock>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(SimulatedClock::new(usize::MAX));
        Self { clock, folder: tempfile::tempdir().unwrap() }
    }

    fn ledger(&self, model: &str, os: Option<&str>) -> Ledger {
        let memory = Some(GivenUpFile::new(self.folder.path(), os));
        Ledger::new(self.clock.clone(), ("m", model.to_owned()), ModelFormat::Tflite, None, memory)
    }

    fn pass(&self, seconds: u64) {
        self.clock.pass(Duration::from_secs(seconds));
    }
}

fn state_of(ledger: &Ledger, device: &str) -> String {
    let all = ledger.to_json();
    let found = all.as_array().unwrap().iter().find(|one| one["name"] == device).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

#[test]
fn three_lost_connections_give_a_device_up_for_this_model_and_this_axis_os() {
    let bench = Bench::new();
    let ledger = bench.ledger("a", Some("12.7.61"));
    for wait in [Some(Duration::from_secs(1)), Some(Duration::from_secs(5)), None] {
        assert_eq!(ledger.begin(&listed()), [DLPU, CPU]);
        ledger.loads(DLPU);
        assert_eq!(ledger.failed(DLPU, &fault(-6, "closed")), Next::List(wait));
    }
    assert_eq!(ledger.begin(&listed()), [CPU]);
    assert_eq!(state_of(&ledger, DLPU), "given-up");
    ledger.runs(CPU);
    assert!(ledger.notice().unwrap().contains("fell over 3 times"), "{:?}", ledger.notice());
    // Nobody tries it by himself, however long it takes.
    bench.pass(1_000_000);
    assert_eq!(ledger.call(), None);
    // A restart remembers; another model, another AXIS OS do not know of it.
    assert_eq!(bench.ledger("a", Some("12.7.61")).begin(&listed()), [CPU]);
    assert_eq!(bench.ledger("b", Some("12.7.61")).begin(&listed()), [DLPU, CPU]);
    assert_eq!(bench.ledger("a", Some("12.8.1")).begin(&listed()), [DLPU, CPU]);
    // "Try again" does.
    assert!(ledger.has_second_thoughts());
    ledger.try_again().unwrap();
    assert!(!ledger.has_second_thoughts());
    assert_eq!(ledger.call(), Some(Call::Better(vec![DLPU.to_owned()])));
    assert_eq!(ledger.call(), None);
    assert_eq!(bench.ledger("a", Some("12.7.61")).begin(&listed()), [DLPU, CPU]);
}

#[test]
fn a_load_that_succeeds_ends_the_count_of_lost_connections() {
    let bench = Bench::new();
    let ledger = bench.ledger("a", None);
    for _ in 0..5 {
        for _ in 0..2 {
            ledger.begin(&listed());
            assert!(matches!(ledger.failed(DLPU, &fault(107, "not connected")), Next::List(Some(_))));
        }
        ledger.runs(DLPU);
    }
    assert_eq!(ledger.begin(&listed()), [DLPU, CPU]);
    // A service that is away, or a camera without power, never counts.
    for code in [111, -15, -15, -7, 111] {
        assert_eq!(ledger.failed(DLPU, &fault(code, "")), Next::List(None));
    }
    assert_eq!(state_of(&ledger, DLPU), "failed");
    ledger.failed(DLPU, &fault(-15, ""));
    assert_eq!(state_of(&ledger, DLPU), "no-power");
    assert_eq!(ledger.begin(&listed()), [DLPU, CPU]);
}

#[test]
fn want_of_memory_is_tried_again_after_1_2_5_10_and_10_minutes() {
    let bench = Bench::new();
    let ledger = bench.ledger("a", None);
    assert_eq!(ledger.begin(&listed()), [DLPU, CPU]);
    assert_eq!(ledger.failed(DLPU, &fault(-14, "")), Next::Device);
    ledger.runs(CPU);
    assert!(ledger.notice().unwrap().contains("has no memory for this model now"));
    for minutes in [1, 2, 5, 10, 10, 10] {
        assert_eq!(state_of(&ledger, DLPU), "no-memory");
        bench.pass(60 * minutes - 1);
        assert_eq!(ledger.call(), None, "{minutes}");
        // Who loads anew meanwhile leaves it alone too.
        assert_eq!(ledger.begin(&listed()), [CPU]);
        ledger.runs(CPU);
        bench.pass(1);
        assert_eq!(ledger.call(), Some(Call::Better(vec![DLPU.to_owned()])), "{minutes}");
        assert_eq!(ledger.call(), None, "{minutes}");
        ledger.loads(DLPU);
        assert_eq!(ledger.failed(DLPU, &fault(-2, "Could not load model: Out of memory")), Next::Device);
    }
    bench.pass(600);
    assert!(ledger.call().is_some());
    ledger.runs(DLPU);
    assert_eq!((state_of(&ledger, DLPU), state_of(&ledger, CPU)), ("runs".into(), "spare".into()));
    assert_eq!(ledger.notice(), None);
    // Then the waits begin anew.
    ledger.begin(&listed());
    ledger.failed(DLPU, &fault(-14, ""));
    assert_eq!(ledger.resting().unwrap().1, MINUTE);
}

#[test]
fn a_refusal_that_may_be_want_of_memory_is_believed_the_fifth_time() {
    let bench = Bench::new();
    let ledger = bench.ledger("a", None);
    let perhaps = fault(sys::ERROR_LOAD_MODEL, "Could not load model: Could not allocate tensors");
    ledger.begin(&listed());
    for _ in 0..4 {
        assert_eq!(ledger.failed(DLPU, &perhaps), Next::Device);
        assert_eq!(state_of(&ledger, DLPU), "no-memory");
    }
    assert_eq!(ledger.failed(DLPU, &perhaps), Next::Device);
    assert_eq!(state_of(&ledger, DLPU), "refused");
    ledger.runs(CPU);
    bench.pass(1_000_000);
    assert_eq!(ledger.call(), None);
    // One whose words are of the model is believed at once.
    let other = bench.ledger("b", None);
    other.begin(&listed());
    assert_eq!(other.failed(DLPU, &fault(-2, "the model is not fully integer")), Next::Device);
    assert_eq!(state_of(&other, DLPU), "refused");
}

#[test]
fn each_device_of_the_camera_is_told_with_its_reason() {
    let bench = Bench::new();
    let ledger = bench.ledger("a", None);
    assert_eq!(ledger.to_json(), json!([]));
    ledger.begin(&listed());
    ledger.failed(DLPU, &fault(-2, "the model is not fully integer"));
    ledger.runs(CPU);
    let told = ledger.to_json();
    let states: Vec<&str> =
        told.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["runs", "pictures", "refused", "other-models", "unused"]);
    assert!(told[2]["why"].as_str().unwrap().contains("not fully integer"));
    // A device that is named alone is the only one, also where the camera does not list it.
    let only =
        Ledger::new(bench.clock.clone(), ("m", "a".into()), ModelFormat::Tflite, Some("nowhere"), None);
    assert_eq!(only.begin(&listed()), ["nowhere"]);
    only.failed("nowhere", &fault(-9, "this camera has x"));
    assert_eq!((state_of(&only, "nowhere"), state_of(&only, CPU)), ("refused".into(), "spare".into()));
    only.try_again().unwrap();
    assert_eq!(only.call(), Some(Call::All));
}
