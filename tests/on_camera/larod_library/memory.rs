//! Memory and descriptors: which kind a device gives, what a new tensor is, and that nothing is left behind.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::Arc;

use super::{Camera, FLOAT, SSD, camera, code, file_of, loaded, sys};
use spotter::backend::larod::LoadRequest;
use spotter::backend::larod::engine::LarodService;
use spotter::backend::larod::ledger::Ledger;
use spotter::backend::larod::map::Map;
use spotter::backend::larod::service::{Service, WorkerTask};
use spotter::backend::larod::session::Side;
use spotter::backend::larod::sys::{Api, Opaque};
use spotter::base::clock::SystemClock;
use spotter::model::format::file::ModelFile;

const READWRITE: u32 = sys::FD_READWRITE;
const MAP: u32 = sys::FD_MAP;
const DMA: u32 = sys::FD_DMABUF;

/// The files in memory that this process has open and that are larod's or for it: numbers and names.
fn open() -> BTreeSet<String> {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let what = std::fs::read_link(entry.path()).ok()?;
        Some(format!("{} {}", entry.file_name().to_string_lossy(), what.to_string_lossy()))
    });
    all.filter(|line| line.contains("memfd:larod") || line.contains("memfd:model")).collect()
}

fn service(camera: &Camera, device: &str) -> LarodService {
    let file = ModelFile::from_bytes("demo", SSD.to_vec()).unwrap();
    let wanted = Arc::new(LoadRequest::new(&file, Some(device)).unwrap());
    let ledger = Arc::new(Ledger::of(&wanted, Arc::new(SystemClock), None));
    LarodService::new(camera.api, wanted, ledger, Vec::new())
}

/// Loads, runs a job and ends 100 times; then the service breaks off and 100 connections are made anew.
fn a_hundred_times(arrays: &str, buffers: &str) {
    let camera = camera("artpec7");
    camera.set("SPOTTER_SIM_ARRAYS", arrays);
    camera.set("SPOTTER_SIM_BUFFERS", buffers);
    // Inputs of the Edge TPU are dma-bufs, outputs are not.
    let service = service(&camera, "google-edge-tpu-tflite");
    let before = open();
    for round in 0..100 {
        let (mut engine, ports) = service.load(&mut |_| ()).unwrap();
        engine.run(WorkerTask::Own).unwrap();
        // The ports last longer than what they belong to, as where another thread has them.
        drop(engine);
        assert!(!ports.outputs.is_empty());
        drop(ports);
        let after = open();
        assert_eq!(after, before, "{arrays}, {buffers}: after load {round}");
    }
    for round in 0..100 {
        let (mut engine, ports) = service.load(&mut |_| ()).unwrap();
        camera.bench.faults("larod crash run");
        assert_eq!(code(engine.run(WorkerTask::Own)), sys::ERROR_CONNECTION);
        camera.bench.faults("");
        drop((engine, ports));
        assert_eq!(open(), before, "{arrays}, {buffers}: after connection {round}");
    }
}

#[test]
fn a_hundred_loads_and_connections_leave_no_descriptor_where_tensors_end_their_memory() {
    a_hundred_times("kept", "destroy");
}

#[test]
fn a_hundred_loads_and_connections_leave_no_descriptor_where_the_connection_ends_it() {
    a_hundred_times("rebuilt", "connection");
}

#[test]
fn a_hundred_loads_and_connections_leave_no_descriptor_where_the_caller_ends_it() {
    a_hundred_times("kept", "caller");
    a_hundred_times("rebuilt", "caller");
}

#[test]
fn devices_give_the_memory_that_is_documented() {
    // nn-inference.html, "Allocation support" of each backend: what is asked, and what tensors come with.
    let dma = [(DMA | MAP, DMA | MAP), (MAP, DMA | MAP), (0, DMA | MAP), (READWRITE | MAP, READWRITE | MAP)];
    let disk = [(MAP, READWRITE | MAP), (0, READWRITE | MAP), (READWRITE | MAP, READWRITE | MAP)];
    for (chip, device, side, gives, refuses) in [
        ("artpec7", "google-edge-tpu-tflite", Side::Inputs, &dma[..], DMA | READWRITE),
        ("artpec7", "google-edge-tpu-tflite", Side::Outputs, &disk[..], DMA | MAP),
        ("artpec8", "axis-a8-dlpu-tflite", Side::Inputs, &disk[..], DMA | MAP),
        ("artpec8", "axis-a8-dlpu-tflite", Side::Outputs, &disk[..], DMA),
        ("artpec9", "a9-dlpu-tflite", Side::Inputs, &disk[..], DMA | MAP),
        ("artpec9", "cpu-tflite", Side::Outputs, &disk[..], DMA | MAP),
    ] {
        let camera = camera(chip);
        let (_connection, model) = loaded(&camera, device);
        for (asked, given) in gives {
            let tensors = model.allocate(side, *asked).unwrap();
            assert_eq!(tensors.place(0).unwrap().properties, *given, "{device} {side:?} {asked}");
        }
        assert_eq!(code(model.allocate(side, refuses)), 22, "{device} {side:?}");
    }
}

#[test]
fn the_cheapest_memory_is_asked_for_first() {
    for (chip, device, dma) in
        [("artpec7", "google-edge-tpu-tflite", true), ("artpec8", "axis-a8-dlpu-tflite", false)]
    {
        let camera = camera(chip);
        let service = service(&camera, device);
        let (mut engine, ports) = service.load(&mut |_| ()).unwrap();
        engine.run(WorkerTask::Own).unwrap();
        assert_eq!(ports.input.is_dma_buf(), dma, "{device}");
        assert!(ports.outputs.iter().all(|port| !port.memory.is_dma_buf()), "{device}");
    }
}

/// Models that the service has, as this connection sees them.
fn models(camera: &Camera, connection: *mut Opaque) -> usize {
    type Get = unsafe extern "C" fn(*mut Opaque, *mut usize, *mut Opaque) -> *mut *mut Opaque;
    type Destroy = unsafe extern "C" fn(*mut *mut *mut Opaque, usize);
    let mut count = usize::MAX;
    // SAFETY: liblarod's functions; the connection is open.
    unsafe {
        let get = camera.set.get::<Get>(b"larodGetModels\0").unwrap();
        let destroy = camera.set.get::<Destroy>(b"larodDestroyModels\0").unwrap();
        let mut array = get(connection, &mut count, ptr::null_mut());
        if count == 0 {
            assert!((*array).is_null(), "an array with a single element NULL");
        }
        destroy(&mut array, count);
    }
    count
}

#[test]
fn a_models_handle_is_not_the_model() {
    let camera = camera("artpec8");
    let Api { larodConnect, larodDisconnect, larodListDevices, larodLoadModel, .. } = camera.api;
    let Api { larodDestroyModel, larodDeleteModel, .. } = camera.api;
    let file = file_of("model", SSD).unwrap();
    let (mut connection, mut count) = (ptr::null_mut(), 0);
    // SAFETY: as liblarod's documentation has it.
    unsafe {
        assert!(larodConnect(&mut connection, ptr::null_mut()));
        let devices = larodListDevices(connection, &mut count, ptr::null_mut());
        let fd: c_int = std::os::fd::AsRawFd::as_raw_fd(&file);
        let load =
            || larodLoadModel(connection, fd, *devices, 1, c"m".as_ptr(), ptr::null(), ptr::null_mut());
        assert_eq!(models(&camera, connection), 0);
        let (mut one, mut other) = (load(), load());
        assert_eq!(models(&camera, connection), 2);
        // "The model will not be deleted in the server by this call."
        larodDestroyModel(&mut one);
        assert_eq!(models(&camera, connection), 2);
        // "The model handle will not be released after a successful call."
        assert!(larodDeleteModel(connection, other, ptr::null_mut()));
        assert_eq!(models(&camera, connection), 1);
        larodDestroyModel(&mut other);
        assert!(larodDisconnect(&mut connection, ptr::null_mut()));
    }
}

#[test]
fn spotters_models_leave_the_service() {
    let camera = camera("artpec8");
    let connection = camera.connect();
    for _ in 0..3 {
        let file = file_of("model", FLOAT).unwrap();
        let model = connection.load(Some(file.as_fd()), "cpu-tflite", "m", None).unwrap();
        assert_eq!(models(&camera, connection.pointer()), 1);
        drop(model);
        assert_eq!(models(&camera, connection.pointer()), 0);
    }
}

#[test]
fn a_new_tensor_is_as_documented() {
    let camera = camera("artpec8");
    let (_connection, model) = loaded(&camera, "axis-a8-dlpu-tflite");
    let mut tensors = model.describe(Side::Inputs).unwrap();
    // "file descriptors set to -1 (invalid) but fd properties will however be set to LAROD_FD_PROP_READWRITE"
    assert_eq!(code(tensors.place(0)), 0);
    let file = file_of("input", &[0; 16]).unwrap();
    let place = |offset, properties| spotter::backend::larod::session::TensorMemory {
        fd: std::os::fd::AsRawFd::as_raw_fd(&file),
        offset,
        size: 0,
        properties,
    };
    // "0 is not valid for fdPropFlags", "Negative offset values are not allowed"
    assert_eq!(code(tensors.put(0, place(0, 0))), 22);
    assert_eq!(tensors.place(0).unwrap().properties, READWRITE);
    // "If a value already exists for the given key, but the value is of another type an error will be reported."
    let mut map = Map::new(camera.api).unwrap();
    map.number("key", 1).unwrap();
    map.number("key", 2).unwrap();
    assert_eq!(code(map.text("key", "three")), 22);
}

/// The child of `larod_memory`; nothing by itself.
#[test]
fn a_child_under_valgrind() {
    let Ok(what) = std::env::var("SPOTTER_TEST_VALGRIND_CHILD") else { return };
    let [arrays, buffers, rounds] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let rounds: usize = rounds.parse().unwrap();
    let camera = camera("artpec7");
    camera.set("SPOTTER_SIM_ARRAYS", arrays);
    camera.set("SPOTTER_SIM_BUFFERS", buffers);
    for round in 0..2 * rounds {
        let service = service(&camera, ["google-edge-tpu-tflite", "cpu-tflite"][round % 2]);
        let (mut engine, ports) = service.load(&mut |_| ()).unwrap();
        engine.run(WorkerTask::Own).unwrap();
        // Half of the rounds end with another model, half with a lost connection.
        if round >= rounds {
            camera.bench.faults("larod crash run");
            assert_eq!(code(engine.run(WorkerTask::Own)), sys::ERROR_CONNECTION);
            camera.bench.faults("");
        }
        drop((engine, ports));
    }
    eprintln!("{rounds} rounds are done");
}
