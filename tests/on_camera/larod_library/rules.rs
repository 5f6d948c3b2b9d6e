//! The rules of `larod.h`'s documentation that the simulated library keeps its callers to. Each is broken here, in a
//! process of its own, and cites its sentence: of larod_8h.html where nothing else is said (docs/design/larod.md).

use std::ffi::{CStr, c_char, c_void};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr;

use super::{SSD, file_of, sys};
use crate::common::camera;
use spotter::backend::larod::sys::{Api, LarodError, Opaque};

const ABORT: i32 = 6;
const SEGMENT: i32 = 11;
/// Names the rule that the child is to break.
const RULE: &str = "SPOTTER_TEST_RULE";

struct Rule {
    name: &'static str,
    /// Its sentence.
    cited: &'static str,
    /// What the library says before it ends the process; nothing where the kernel ends it.
    says: &'static str,
    /// The signal that ends the process; 0 where nothing is wrong.
    signal: i32,
    variables: &'static [(&'static str, &'static str)],
    breaks: fn(&Raw),
}

/// The library's functions without the safe layer.
struct Raw {
    api: &'static Api,
    more: libloading::Library,
}

unsafe extern "C" {
    fn free(pointer: *mut c_void);
}

type Callback = unsafe extern "C" fn(*mut c_void, *mut LarodError);

// SAFETY of all calls here: that they are wrong is the point; the process is there for it.
impl Raw {
    fn connect(&self) -> *mut Opaque {
        let (mut connection, mut error) = (ptr::null_mut(), ptr::null_mut());
        assert!(unsafe { (self.api.larodConnect)(&mut connection, &mut error) } && error.is_null());
        connection
    }

    fn disconnect(&self, mut connection: *mut Opaque) {
        assert!(unsafe { (self.api.larodDisconnect)(&mut connection, ptr::null_mut()) });
        assert!(connection.is_null(), "it is set to NULL");
    }

    fn list(&self, connection: *mut Opaque) -> &'static [*const Opaque] {
        let mut count = 0;
        unsafe {
            let list = (self.api.larodListDevices)(connection, &mut count, ptr::null_mut());
            std::slice::from_raw_parts(list, count)
        }
    }

    fn name(&self, device: *const Opaque) -> *const c_char {
        unsafe { (self.api.larodGetDeviceName)(device, ptr::null_mut()) }
    }

    /// The demo model on the processor.
    fn load(&self, connection: *mut Opaque) -> *mut Opaque {
        self.load_on(connection, self.list(connection)[0])
    }

    fn load_on(&self, connection: *mut Opaque, device: *const Opaque) -> *mut Opaque {
        let file = file_of("model", SSD).unwrap();
        let name = c"demo".as_ptr();
        let none = ptr::null();
        let load = self.api.larodLoadModel;
        let model = unsafe { load(connection, file.as_raw_fd(), device, 1, name, none, ptr::null_mut()) };
        assert!(!model.is_null());
        model
    }

    fn tensors(&self, connection: *mut Opaque, model: *mut Opaque) -> [(*mut *mut Opaque, usize); 2] {
        let api = self.api;
        [api.larodAllocModelInputs, api.larodAllocModelOutputs].map(|allocate| {
            let mut count = 0;
            let none = ptr::null_mut();
            let array =
                unsafe { allocate(connection, model, sys::FD_MAP, &mut count, none, ptr::null_mut()) };
            assert!(!array.is_null());
            (array, count)
        })
    }

    /// A model, its tensors and a job.
    fn job(&self, connection: *mut Opaque, params: *mut Opaque) -> Job {
        let model = self.load(connection);
        let [inputs, outputs] = self.tensors(connection, model);
        let create = self.api.larodCreateJobRequest;
        let job = unsafe { create(model, inputs.0, inputs.1, outputs.0, outputs.1, params, ptr::null_mut()) };
        assert!(!job.is_null());
        Job { model, inputs, job }
    }

    fn run(&self, connection: *mut Opaque, job: *mut Opaque) -> bool {
        unsafe { (self.api.larodRunJob)(connection, job, ptr::null_mut()) }
    }

    fn destroy(&self, connection: *mut Opaque, mut array: *mut *mut Opaque, count: usize) {
        assert!(unsafe { (self.api.larodDestroyTensors)(connection, &mut array, count, ptr::null_mut()) });
    }

    fn map(&self) -> *mut Opaque {
        unsafe { (self.api.larodCreateMap)(ptr::null_mut()) }
    }

    fn run_later(&self, connection: *mut Opaque, job: *mut Opaque, call: Callback, user: *mut c_void) {
        type Run = unsafe extern "C" fn(
            *mut Opaque,
            *const Opaque,
            Callback,
            *mut c_void,
            *mut *mut LarodError,
        ) -> bool;
        let run = unsafe { self.more.get::<Run>(b"larodRunJobAsync\0") }.unwrap();
        assert!(unsafe { run(connection, job, call, user, ptr::null_mut()) });
    }
}

struct Job {
    model: *mut Opaque,
    inputs: (*mut *mut Opaque, usize),
    job: *mut Opaque,
}

/// What a callback is given.
struct User<'a> {
    raw: &'a Raw,
    connection: *mut Opaque,
    job: *mut Opaque,
}

unsafe extern "C" fn nothing(_: *mut c_void, _: *mut LarodError) {}

unsafe extern "C" fn runs_again(user: *mut c_void, _: *mut LarodError) {
    let User { raw, connection, job } = unsafe { &*user.cast::<User<'_>>() };
    raw.run(*connection, *job);
}

unsafe extern "C" fn clears(user: *mut c_void, mut error: *mut LarodError) {
    let User { raw, .. } = unsafe { &*user.cast::<User<'_>>() };
    assert!(!error.is_null(), "the job fails");
    unsafe { (raw.api.larodClearError)(&mut error) };
}

struct Sent<T>(T);
// SAFETY: what it is there for.
unsafe impl<T> Send for Sent<T> {}

fn on_another_thread(work: impl FnOnce()) {
    let work = Sent(work);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let Sent(work) = { work };
            work();
        });
    });
}

fn forever() -> ! {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

macro_rules! rules {
    ($($name:ident: $cited:literal, $signal:expr, $says:literal, $variables:expr, $breaks:expr;)*) => {
        const RULES: &[Rule] = &[$(Rule {
            name: stringify!($name),
            cited: $cited,
            says: $says,
            signal: $signal,
            variables: &$variables,
            breaks: $breaks,
        },)*];
        $(#[test]
        fn $name() {
            hold(stringify!($name));
        })*
    };
}

const SLOW: [(&str, &str); 1] = [("SPOTTER_SIM_INFERENCE_MS", "2000")];

rules! {
    the_array_of_devices_is_not_freed:
        "larodListDevices: The caller does not get ownership of the returned double pointer and must not attempt to free it.",
        ABORT, "free(): ", [], |raw| {
            let list = raw.list(raw.connect());
            unsafe { free(list.as_ptr().cast_mut().cast()) };
        };
    a_devices_name_is_not_freed:
        "larodGetDeviceName: The pointer must not be freed by the caller.",
        ABORT, "free(): ", [], |raw| {
            let name = raw.name(raw.list(raw.connect())[0]);
            unsafe { free(name.cast_mut().cast()) };
        };
    a_model_is_not_freed:
        "larodLoadModel: The returned pointer should be released with larodDestroyModel() when it is no longer needed.",
        ABORT, "free(): ", [], |raw| unsafe { free(raw.load(raw.connect())) };
    devices_end_with_their_connection:
        "larodListDevices: The lifetimes of the devices pointed to expire when conn closes.",
        ABORT, "larodGetDeviceName: the device that was given does not exist any more: its connection was closed", [], |raw| {
            let connection = raw.connect();
            let device = raw.list(connection)[0];
            raw.disconnect(connection);
            raw.name(device);
        };
    the_array_of_devices_ends_with_its_connection:
        "larodDisconnect: This will always deallocate the connection handle conn (as well as other allocated stuff).",
        SEGMENT, "", [], |raw| {
            let connection = raw.connect();
            let list = raw.list(connection);
            raw.disconnect(connection);
            std::hint::black_box(list[0]);
        };
    the_array_of_devices_may_end_at_the_next_call:
        "larodListDevices: nothing is said of the array's life beside its owner; this is the shortest.",
        SEGMENT, "", [("SPOTTER_SIM_ARRAYS", "rebuilt")], |raw| {
            let connection = raw.connect();
            let list = raw.list(connection);
            raw.list(connection);
            std::hint::black_box(list[0]);
        };
    the_array_of_devices_may_last:
        "larodListDevices: nothing is said of the array's life beside its owner; this is the longest.",
        0, "", [], |raw| {
            let connection = raw.connect();
            let list = raw.list(connection);
            assert_eq!(raw.list(connection).as_ptr(), list.as_ptr());
            let name = unsafe { CStr::from_ptr(raw.name(list[0])) };
            assert_eq!(name, c"cpu-tflite");
            raw.disconnect(connection);
        };
    a_pointer_comes_from_the_library:
        "larodGetDeviceName: A pointer to a device.",
        ABORT, "larodGetDeviceName: the device that was given is not from this library", [], |raw| {
            let own = [0u64; 8];
            raw.name(own.as_ptr().cast());
        };
    a_device_is_no_model:
        "larodCreateModelInputs: Pointer to an initialized model handle.",
        ABORT, "a device was given where a model is wanted", [], |raw| {
            let device = raw.list(raw.connect())[0];
            unsafe { (raw.api.larodCreateModelInputs)(device, ptr::null_mut(), ptr::null_mut()) };
        };
    a_device_is_of_the_connection_that_loads:
        "larodListDevices: The lifetimes of the devices pointed to expire when conn closes.",
        ABORT, "larodLoadModel: the device that was given is of another connection", [], |raw| {
            let (one, other) = (raw.connect(), raw.connect());
            raw.load_on(one, raw.list(other)[0]);
        };
    a_model_is_destroyed_once:
        "larodDestroyModel: model must not be used after this call.",
        ABORT, "the model that was given does not exist any more: larodDestroyModel freed it", [], |raw| {
            let mut model = raw.load(raw.connect());
            let mut again = model;
            unsafe { (raw.api.larodDestroyModel)(&mut model) };
            assert!(model.is_null(), "the dereferenced model will be set to NULL");
            unsafe { (raw.api.larodDestroyModel)(&mut model) };
            unsafe { (raw.api.larodDestroyModel)(&mut again) };
        };
    tensors_are_destroyed_once:
        "larodDestroyTensors: Neither the pointers in the tensors array nor the array itself can be used after this call.",
        ABORT, "the array of tensors that was given does not exist any more: larodDestroyTensors freed it", [], |raw| {
            let connection = raw.connect();
            let [(array, count), _] = raw.tensors(connection, raw.load(connection));
            raw.destroy(connection, array, count);
            raw.destroy(connection, array, count);
        };
    a_tensor_ends_with_its_array:
        "larodDestroyTensors: Neither the pointers in the tensors array nor the array itself can be used after this call.",
        ABORT, "the tensor that was given does not exist any more", [], |raw| {
            let connection = raw.connect();
            let [(array, count), _] = raw.tensors(connection, raw.load(connection));
            let tensor = unsafe { *array };
            raw.destroy(connection, array, count);
            unsafe { (raw.api.larodGetTensorFd)(tensor, ptr::null_mut()) };
        };
    a_tensors_dims_end_with_it:
        "larodGetTensorDims: This pointer is valid as long as tensor is valid.",
        SEGMENT, "", [], |raw| {
            let connection = raw.connect();
            let [(array, count), _] = raw.tensors(connection, raw.load(connection));
            let dims = unsafe { (raw.api.larodGetTensorDims)(*array, ptr::null_mut()) };
            raw.destroy(connection, array, count);
            std::hint::black_box(unsafe { (*dims).len });
        };
    the_number_of_tensors_is_that_of_the_array:
        "larodDestroyTensors: Number of tensors in the tensors array.",
        ABORT, "larodDestroyTensors: 3 tensors are said to be in an array of 4", [], |raw| {
            let connection = raw.connect();
            let [_, (array, count)] = raw.tensors(connection, raw.load(connection));
            raw.destroy(connection, array, count - 1);
        };
    a_tensor_is_tracked_once:
        "larodTrackTensor: this function should only be called once per larodTensor; larodAllocModelInputs: the service will automatically track each tensor.",
        ABORT, "larodTrackTensor: the tensor is tracked already", [], |raw| {
            let connection = raw.connect();
            let [(array, _), _] = raw.tensors(connection, raw.load(connection));
            unsafe { (raw.api.larodTrackTensor)(connection, *array, ptr::null_mut()) };
        };
    a_job_is_destroyed_once:
        "larodDestroyJobRequest: jobReq should not be used after this call.",
        ABORT, "the job request that was given does not exist any more: larodDestroyJobRequest freed it", [], |raw| {
            let connection = raw.connect();
            let mut job = raw.job(connection, ptr::null_mut()).job;
            let mut again = job;
            unsafe { (raw.api.larodDestroyJobRequest)(&mut job) };
            unsafe { (raw.api.larodDestroyJobRequest)(&mut again) };
        };
    a_map_is_not_used_after_its_end:
        "larodDestroyMap: map should not be used after this call.",
        ABORT, "larodMapSetInt: the map that was given does not exist any more: larodDestroyMap freed it", [], |raw| {
            let map = raw.map();
            let mut gone = map;
            unsafe { (raw.api.larodDestroyMap)(&mut gone) };
            unsafe { (raw.api.larodMapSetInt)(map, c"key".as_ptr(), 1, ptr::null_mut()) };
        };
    a_jobs_parameters_outlive_it:
        "larodCreateJobRequest: The tensor data and model information is copied; of params nothing is said.",
        ABORT, "larodRunJob: the map that was given does not exist any more: larodDestroyMap freed it", [], |raw| {
            let (connection, mut map) = (raw.connect(), raw.map());
            let job = raw.job(connection, map).job;
            assert!(raw.run(connection, job));
            unsafe { (raw.api.larodDestroyMap)(&mut map) };
            raw.run(connection, job);
        };
    a_connection_is_not_used_after_its_end:
        "larodDisconnect: This will always deallocate the connection handle.",
        ABORT, "larodRunJob: the connection that was given does not exist any more: larodDisconnect freed it", [], |raw| {
            let connection = raw.connect();
            let job = raw.job(connection, ptr::null_mut()).job;
            raw.disconnect(connection);
            raw.run(connection, job);
        };
    a_model_is_not_used_after_its_connections_end:
        "introduction-for-app-developers.html: the model is automatically deleted in the service when the session closes its connection.",
        ABORT, "larodCreateModelInputs: the connection that the handle came from was closed", [], |raw| {
            let connection = raw.connect();
            let model = raw.load(connection);
            raw.disconnect(connection);
            unsafe { (raw.api.larodCreateModelInputs)(model, ptr::null_mut(), ptr::null_mut()) };
        };
    a_handle_can_be_freed_after_its_connections_end:
        "larodDestroyModel, larodDestroyJobRequest: they take no connection, and nothing forbids it.",
        0, "", [], |raw| {
            let connection = raw.connect();
            let Job { mut model, mut job, .. } = raw.job(connection, ptr::null_mut());
            raw.disconnect(connection);
            unsafe { (raw.api.larodDestroyModel)(&mut model) };
            unsafe { (raw.api.larodDestroyJobRequest)(&mut job) };
        };
    an_error_is_null_before_a_call:
        "introduction-for-app-developers.html: larodError* error = NULL; larodConnect: it must later be deallocated with larodClearError().",
        ABORT, "larodListDevices: the error that was given is not NULL; larodClearError clears it", [], |raw| {
            let (connection, mut error) = (raw.connect(), ptr::null_mut());
            let name = unsafe { (raw.api.larodGetDeviceName)(ptr::null(), &mut error) };
            assert!(name.is_null() && !error.is_null());
            let said = unsafe { CStr::from_ptr((*error).msg) };
            assert_eq!(said, c"a null pointer was given");
            unsafe { (raw.api.larodListDevices)(connection, &mut 0, &mut error) };
        };
    an_error_is_cleared_once:
        "larodError: An initialized pointer of this type needs to be deallocated with larodClearError(); *error will be set to NULL after this call.",
        ABORT, "the error that was given does not exist any more: larodClearError freed it", [], |raw| {
            let mut error = ptr::null_mut();
            unsafe { (raw.api.larodGetDeviceName)(ptr::null(), &mut error) };
            let mut again = error;
            unsafe { (raw.api.larodClearError)(&mut error) };
            assert!(error.is_null());
            unsafe { (raw.api.larodClearError)(&mut error) };
            unsafe { (raw.api.larodClearError)(&mut again) };
        };
    a_connection_stays_on_its_thread:
        "larod.h: This library is not thread safe.",
        ABORT, "another thread than the one that connected calls the library", [], |raw| {
            let connection = Sent(raw.connect());
            on_another_thread(|| { raw.list({ &connection }.0); });
        };
    a_model_is_freed_on_its_connections_thread:
        "larod.h: This library is not thread safe.",
        ABORT, "larodDestroyModel: another thread than the one that connected calls the library", [], |raw| {
            let model = Sent(raw.load(raw.connect()));
            on_another_thread(|| unsafe { (raw.api.larodDestroyModel)(&mut { &model }.0.clone()) });
        };
    threads_may_take_turns:
        "larod.h: This library is not thread safe. One call at a time may or may not be enough; here it is.",
        0, "", [("SPOTTER_SIM_THREADS", "turns")], |raw| {
            let connection = Sent(raw.connect());
            on_another_thread(|| { raw.list({ &connection }.0); });
            raw.disconnect(connection.0);
        };
    two_threads_never_call_at_the_same_time:
        "larod.h: This library is not thread safe.",
        ABORT, "two threads use one connection at the same time",
        [("SPOTTER_SIM_THREADS", "turns"), ("SPOTTER_SIM_INFERENCE_MS", "2000")], |raw| {
            let connection = raw.connect();
            let job = raw.job(connection, ptr::null_mut()).job;
            let both = Sent((raw, connection, job));
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let Sent((raw, connection, job)) = { both };
                    raw.run(connection, job)
                });
                // The other thread's call begins at some time in here.
                loop {
                    raw.list(connection);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
        };
    outputs_are_written_where_their_files_stand:
        "larodCreateJobRequest: inputTensors file descriptors' file offsets will be set to the beginning before reading, while outputTensors' will be untouched before writing (and left at the resulting position after the write).",
        0, "", [], |raw| {
            use std::io::{Seek, SeekFrom};
            let connection = raw.connect();
            let model = raw.load(connection);
            let input = std::fs::File::from(file_of("input", &super::picture(3)).unwrap());
            (&input).seek(SeekFrom::Start(1000)).unwrap();
            let outputs: Vec<_> = (0..4).map(|_| file_of("output", &[0; 4096]).unwrap()).collect();
            let api = raw.api;
            let [ins, outs] = [api.larodCreateModelInputs, api.larodCreateModelOutputs].map(|create| {
                let mut count = 0;
                (unsafe { create(model, &mut count, ptr::null_mut()) }, count)
            });
            assert_eq!((ins.1, outs.1), (1, 4));
            let mut scores = 0;
            unsafe {
                assert!((api.larodSetTensorFd)(*ins.0, input.as_raw_fd(), ptr::null_mut()));
                for (index, output) in outputs.iter().enumerate() {
                    let tensor = *outs.0.add(index);
                    // Properties are LAROD_FD_PROP_READWRITE from the beginning.
                    assert!((api.larodSetTensorFd)(tensor, output.as_raw_fd(), ptr::null_mut()));
                }
                (api.larodGetTensorByteSize)(*outs.0.add(2), &mut scores, ptr::null_mut());
            }
            let create = api.larodCreateJobRequest;
            let none = ptr::null_mut();
            let job = unsafe { create(model, ins.0, ins.1, outs.0, outs.1, none, ptr::null_mut()) };
            assert!(raw.run(connection, job) && raw.run(connection, job));
            let written = super::Mapped::new(outputs[2].as_raw_fd(), 0, 4096, false).unwrap();
            let (first, second) = (&written.bytes()[..scores], &written.bytes()[scores..2 * scores]);
            assert_eq!(first, second);
            assert!(first.iter().any(|byte| *byte != 0));
        };
    a_callback_runs_no_jobs:
        "larodRunJobCallback: it must not call the synchronous calls larodRunJob() and larodDeleteModel().",
        ABORT, "it was called from a callback", [], |raw| {
            let connection = raw.connect();
            let job = raw.job(connection, ptr::null_mut()).job;
            let mut user = User { raw, connection, job };
            raw.run_later(connection, job, runs_again, (&raw mut user).cast());
            forever();
        };
    a_callback_does_not_free_its_error:
        "larodRunJobCallback: In this callback function, one must not free this handle with larodClearError().",
        ABORT, "larodClearError: it was called from a callback", [], |raw| {
            let connection = raw.connect();
            let Job { model, job, .. } = raw.job(connection, ptr::null_mut());
            unsafe { (raw.api.larodDeleteModel)(connection, model, ptr::null_mut()) };
            let mut user = User { raw, connection, job };
            raw.run_later(connection, job, clears, (&raw mut user).cast());
            forever();
        };
    tensors_outlive_the_job_that_runs:
        "larodRunJobAsync: The client should not access the file descriptors while an asynchronous job is running.",
        ABORT, "larodDestroyTensors: a tensor is destroyed while a job runs that uses it", SLOW, |raw| {
            let connection = raw.connect();
            let Job { inputs, job, .. } = raw.job(connection, ptr::null_mut());
            raw.run_later(connection, job, nothing, ptr::null_mut());
            raw.destroy(connection, inputs.0, inputs.1);
        };
}

/// Breaks a rule in a child of this process, and looks at its end.
fn hold(name: &str) {
    let rule = RULES.iter().find(|rule| rule.name == name).expect("it is in the table");
    let mut child = Command::new(std::env::current_exe().unwrap());
    // Names of tests leave out the crate's.
    let (_, here) = module_path!().split_once("::").unwrap();
    child.args(["--exact", &format!("{here}::a_rule_is_broken"), "--nocapture", "--test-threads=1"]);
    child.env(RULE, name).env(sys::VARIABLE, camera::larod()).env("SPOTTER_SIM_CHIP", "artpec8");
    child.envs(rule.variables.iter().copied());
    let ended = child.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    let signal = ended.status.signal().unwrap_or(0);
    let cited = rule.cited;
    assert_eq!(signal, rule.signal, "{cited}\n{said}");
    assert!(said.contains(rule.says), "{cited}\n{said}");
    if signal == 0 {
        assert!(ended.status.success(), "{cited}\n{said}");
    } else if signal == ABORT && !rule.says.starts_with("free") {
        let sentences = said.lines().filter(|line| line.starts_with("liblarod (simulated): ")).count();
        assert_eq!(sentences, 1, "{cited}\n{said}");
    }
}

/// The child of [`hold`]; nothing by itself.
#[test]
fn a_rule_is_broken() {
    let Ok(name) = std::env::var(RULE) else { return };
    let rule = RULES.iter().find(|rule| rule.name == name).expect("it is in the table");
    // SAFETY: the simulated library.
    let more = unsafe { libloading::Library::new(std::env::var_os(sys::VARIABLE).unwrap()) }.unwrap();
    (rule.breaks)(&Raw { api: sys::load().unwrap(), more });
}
