//! The border to the camera's video capture library: handles that release themselves.
//!
//! The library does not say which of its functions may be called from two threads at once, so all calls on one
//! stream go through that stream's lock. None of them waits: streams are made with `socket.blocking` off.
#![allow(unsafe_code, reason = "the border to C")]

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer::glib::ffi::{GError, GList, g_error_free, g_free, g_list_free};
use gstreamer::glib::gobject_ffi::{GObject, g_object_unref};

use rustix::ioctl;

use super::sys::{self, Functions, VdoBuffer, VdoChannel, VdoMap, VdoPair32u, VdoStream};

/// What the library refused, and with which of its codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A `VdoError`; 0 where the error is not the library's own.
    pub code: c_int,
    /// The library's words.
    pub text: String,
}

impl Failure {
    fn own(text: &str) -> Self {
        Self { code: 0, text: text.to_owned() }
    }

    /// Whether other settings may be taken.
    pub fn is_about_settings(&self) -> bool {
        matches!(self.code, sys::VDO_ERROR_INVALID_ARGUMENT | sys::VDO_ERROR_NOT_SUPPORTED)
    }

    /// Whether the camera has nothing left for the stream.
    pub fn is_for_want_of_resources(&self) -> bool {
        matches!(self.code, sys::VDO_ERROR_BUSY | sys::VDO_ERROR_OOM | sys::VDO_ERROR_NO_BUFFER_SPACE)
    }

    /// Whether no other stream of this picture would be given either.
    pub fn is_for_all_streams(&self) -> bool {
        matches!(
            self.code,
            sys::VDO_ERROR_NOT_FOUND | sys::VDO_ERROR_PERMISSION_DENIED | sys::VDO_ERROR_INTERFACE_DOWN
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, text } = self;
        let text = if text.is_empty() { "no reason given" } else { text };
        match *code {
            sys::VDO_ERROR_NOT_FOUND => write!(f, "the camera has no such channel or input ({text})"),
            sys::VDO_ERROR_INVALID_ARGUMENT => {
                write!(f, "the camera does not take these settings of the stream ({text})")
            }
            sys::VDO_ERROR_PERMISSION_DENIED => {
                write!(
                    f,
                    "the camera does not let this user see its video; the user must be in group video ({text})"
                )
            }
            sys::VDO_ERROR_NOT_SUPPORTED => {
                write!(f, "the camera does not give this format or size ({text})")
            }
            _ if self.is_for_want_of_resources() => {
                write!(
                    f,
                    "the camera gives no more streams at present ({text}); end others that use its video"
                )
            }
            sys::VDO_ERROR_NO_DATA => write!(f, "the camera has no frame for now ({text})"),
            sys::VDO_ERROR_INTERFACE_DOWN => write!(
                f,
                "the camera has closed its video for maintenance, as at a change of its rotation ({text})"
            ),
            0 => f.write_str(text),
            code => write!(f, "the camera's video capture failed with error {code} ({text})"),
        }
    }
}

impl std::error::Error for Failure {}

/// What a call of the library gives.
pub type Outcome<T> = std::result::Result<T, Failure>;

/// Where a call puts its error; read and freed once.
struct ErrorSlot(*mut GError);

impl ErrorSlot {
    fn new() -> Self {
        Self(ptr::null_mut())
    }

    fn take(self, functions: &Functions) -> Failure {
        let Some(error) = NonNull::new(self.0) else { return Failure::own("") };
        // SAFETY: the call that failed gave a GError that is the caller's to free; its message is a C string or
        // null. vdo_error_quark takes nothing.
        unsafe {
            let GError { domain, code, message } = *error.as_ptr();
            let text = if message.is_null() {
                String::new()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            };
            g_error_free(error.as_ptr());
            Failure { code: if domain == (functions.vdo_error_quark)() { code } else { 0 }, text }
        }
    }
}

/// Settings or facts by name.
pub struct Map {
    functions: &'static Functions,
    raw: NonNull<VdoMap>,
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: a VdoMap is a GObject, and this reference is ours.
        unsafe { g_object_unref(self.raw.as_ptr().cast::<GObject>()) }
    }
}

impl Map {
    /// An empty map; none where the library gives none.
    ///
    /// # Errors
    /// A failure where the library gives none.
    pub fn new(functions: &'static Functions) -> Outcome<Self> {
        // SAFETY: takes nothing.
        Self::of(functions, unsafe { (functions.vdo_map_new)() })
            .ok_or_else(|| Failure::own("no memory for a map"))
    }

    fn of(functions: &'static Functions, raw: *mut VdoMap) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { functions, raw })
    }

    pub fn set_u32(&mut self, key: &CStr, value: u32) {
        // SAFETY: the map lives, the key is a C string.
        unsafe { (self.functions.vdo_map_set_uint32)(self.raw.as_ptr(), key.as_ptr(), value) }
    }

    /// Sets a yes or no.
    pub fn set_bool(&mut self, key: &CStr, value: bool) {
        // SAFETY: as above.
        unsafe { (self.functions.vdo_map_set_boolean)(self.raw.as_ptr(), key.as_ptr(), value.into()) }
    }

    /// Sets a number with a fraction.
    pub fn set_f64(&mut self, key: &CStr, value: f64) {
        // SAFETY: as above.
        unsafe { (self.functions.vdo_map_set_double)(self.raw.as_ptr(), key.as_ptr(), value) }
    }

    pub fn set_text(&mut self, key: &CStr, value: &CStr) {
        // SAFETY: as above; the library copies the text.
        unsafe { (self.functions.vdo_map_set_string)(self.raw.as_ptr(), key.as_ptr(), value.as_ptr()) }
    }

    /// Sets a pair of numbers.
    pub fn set_pair(&mut self, key: &CStr, (w, h): (u32, u32)) {
        // SAFETY: as above.
        unsafe { (self.functions.vdo_map_set_pair32u)(self.raw.as_ptr(), key.as_ptr(), VdoPair32u { w, h }) }
    }

    /// A number, or `other` where there is none of that name.
    pub fn u32(&self, key: &CStr, other: u32) -> u32 {
        // SAFETY: as above.
        unsafe { (self.functions.vdo_map_get_uint32)(self.raw.as_ptr(), key.as_ptr(), other) }
    }

    /// A number with a fraction, or `other`.
    pub fn f64(&self, key: &CStr, other: f64) -> f64 {
        // SAFETY: as above.
        unsafe { (self.functions.vdo_map_get_double)(self.raw.as_ptr(), key.as_ptr(), other) }
    }

    /// A pair of numbers, or `other`.
    pub fn pair(&self, key: &CStr, (w, h): (u32, u32)) -> (u32, u32) {
        // SAFETY: as above.
        let pair = unsafe {
            (self.functions.vdo_map_get_pair32u)(self.raw.as_ptr(), key.as_ptr(), VdoPair32u { w, h })
        };
        (pair.w, pair.h)
    }

    /// A text; empty where there is none.
    pub fn text(&self, key: &CStr) -> String {
        let mut size = 0usize;
        // SAFETY: as above; the text belongs to the map and is copied before the map can change. It is what was
        // asked for instead, a C string, where there is none.
        unsafe {
            let text =
                (self.functions.vdo_map_get_string)(self.raw.as_ptr(), key.as_ptr(), &mut size, c"".as_ptr());
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        }
    }
}

/// A sensor or a view of it.
pub struct Channel {
    functions: &'static Functions,
    raw: NonNull<VdoChannel>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: a VdoChannel is a GObject, and this reference is ours.
        unsafe { g_object_unref(self.raw.as_ptr().cast::<GObject>()) }
    }
}

impl Channel {
    /// The channel that `wanted` names by `channel` or `input`; by its number alone on old cameras.
    ///
    /// # Errors
    /// The library's own.
    pub fn get(functions: &'static Functions, wanted: &Map, number: u32) -> Outcome<Self> {
        let mut error = ErrorSlot::new();
        // SAFETY: the map lives, and the error is where the library may put one.
        let raw = unsafe {
            match functions.vdo_channel_get_ex {
                Some(get_ex) => get_ex(wanted.raw.as_ptr(), &mut error.0),
                None => (functions.vdo_channel_get)(number, &mut error.0),
            }
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { functions, raw }),
            None => Err(error.take(functions)),
        }
    }

    /// All channels, or those that `filter` lets through.
    ///
    /// # Errors
    /// The library's own, also where it cannot list them. An empty list is none.
    pub fn all(functions: &'static Functions, filter: Option<&Map>) -> Outcome<Vec<Self>> {
        let mut error = ErrorSlot::new();
        // SAFETY: the filter lives, and the error is where the library may put one.
        let list = unsafe {
            match filter {
                Some(filter) => functions
                    .vdo_channel_get_filtered
                    .map(|filtered| filtered(filter.raw.as_ptr(), &mut error.0)),
                None => functions.vdo_channel_get_all.map(|all| all(&mut error.0)),
            }
        };
        let Some(list) = list else { return Err(Failure::own("this camera's library does not list them")) };
        // "Differentiate between errors and empty lists": both are null.
        if !error.0.is_null() {
            return Err(error.take(functions));
        }
        let mut channels = Vec::new();
        let mut node = list;
        // SAFETY: a GList whose data are VdoChannels; list and references are the caller's ("Free with
        // g_list_free_full(list, g_object_unref)"). The references go to the channels, then the nodes are freed.
        unsafe {
            while let Some(GList { data, next, .. }) = node.as_ref() {
                channels.extend(NonNull::new(data.cast::<VdoChannel>()).map(|raw| Self { functions, raw }));
                node = *next;
            }
            g_list_free(list);
        }
        Ok(channels)
    }

    /// Its number, where the library tells it.
    pub fn id(&self) -> Option<u32> {
        // SAFETY: the channel lives.
        self.functions.vdo_channel_get_id.map(|id| unsafe { id(self.raw.as_ptr()) })
    }

    /// What is known of it: its rotation, its shape.
    ///
    /// # Errors
    /// The library's own.
    pub fn info(&self) -> Outcome<Map> {
        let mut error = ErrorSlot::new();
        // SAFETY: the channel lives; the map is ours.
        let raw = unsafe { (self.functions.vdo_channel_get_info)(self.raw.as_ptr(), &mut error.0) };
        Map::of(self.functions, raw).ok_or_else(|| error.take(self.functions))
    }

    /// The sizes that it gives, columns and rows, as far as `filter` lets them through.
    ///
    /// # Errors
    /// The library's own.
    pub fn resolutions(&self, filter: &Map) -> Outcome<Vec<(u32, u32)>> {
        let mut error = ErrorSlot::new();
        // SAFETY: channel and filter live. The set is ours to free, and as many resolutions follow its head as
        // that says.
        unsafe {
            let set = (self.functions.vdo_channel_get_resolutions)(
                self.raw.as_ptr(),
                filter.raw.as_ptr(),
                &mut error.0,
            );
            if set.is_null() {
                return Err(error.take(self.functions));
            }
            let first = ptr::addr_of!((*set).resolutions).cast::<sys::VdoResolution>();
            let all = std::slice::from_raw_parts(first, (*set).count);
            let sizes = all.iter().map(|size| (size.width, size.height)).collect();
            g_free(set.cast::<c_void>());
            Ok(sizes)
        }
    }
}

/// A pointer that only goes to the library, under the stream's lock.
struct Raw(NonNull<VdoStream>);

// SAFETY: a stream is no thread's own: the library's examples make, read and release it from different threads.
// It is used under a lock alone.
unsafe impl Send for Raw {}

/// A stream that gives frames. Stopped and released when it and the last of its frames are gone: a frame's
/// memory may belong to the stream.
pub struct Stream {
    functions: &'static Functions,
    raw: Mutex<Raw>,
    fd: RawFd,
    /// The number of each of its buffers, by file descriptor and offset, and whether the kernel says that it is a
    /// dma-buf.
    numbers: Mutex<HashMap<(RawFd, i64), (u64, bool)>>,
    /// Memory of buffers that the library does not map by itself, by buffer number.
    mapped: Mutex<HashMap<u64, Mapped>>,
}

/// Memory that we mapped.
struct Mapped {
    start: NonNull<c_void>,
    size: usize,
    /// Where the buffer begins in it.
    offset: usize,
}

// SAFETY: memory of the process, which any thread may read.
unsafe impl Send for Mapped {}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: what was mapped with this size; no frame that reads it is left (they hold the stream).
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.size) };
    }
}

/// Buffers are numbered over all streams, so that no number comes back with another buffer.
static NEXT_BUFFER: AtomicU64 = AtomicU64::new(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Stream {
    fn drop(&mut self) {
        let raw = lock(&self.raw).0.as_ptr();
        // SAFETY: the stream lives until this; a VdoStream is a GObject, and this reference is ours.
        unsafe {
            (self.functions.vdo_stream_stop)(raw);
            g_object_unref(raw.cast::<GObject>());
        }
    }
}

impl Stream {
    /// Makes a stream with these settings. It gives frames once it is started.
    ///
    /// # Errors
    /// The library's own.
    pub fn new(functions: &'static Functions, settings: &Map) -> Outcome<Self> {
        let mut error = ErrorSlot::new();
        // SAFETY: the settings live, and the library copies them; the stream is ours.
        let raw = unsafe { (functions.vdo_stream_new)(settings.raw.as_ptr(), None, &mut error.0) };
        let Some(raw) = NonNull::new(raw) else { return Err(error.take(functions)) };
        Ok(Self {
            functions,
            raw: Mutex::new(Raw(raw)),
            fd: -1,
            numbers: Mutex::default(),
            mapped: Mutex::default(),
        })
    }

    /// Runs one call that may fail.
    fn call<T>(&self, call: impl FnOnce(*mut VdoStream, *mut *mut GError) -> Option<T>) -> Outcome<T> {
        let mut error = ErrorSlot::new();
        let raw = lock(&self.raw);
        call(raw.0.as_ptr(), &mut error.0).ok_or_else(|| error.take(self.functions))
    }

    /// What the stream is: format, size, pitch, type of its buffers.
    ///
    /// # Errors
    /// The library's own.
    pub fn info(&self) -> Outcome<Map> {
        // SAFETY: the stream lives; the map is ours.
        self.call(|raw, error| {
            Map::of(self.functions, unsafe { (self.functions.vdo_stream_get_info)(raw, error) })
        })
    }

    /// Starts it.
    ///
    /// # Errors
    /// The library's own.
    pub fn start(&mut self) -> Outcome<()> {
        // SAFETY: the stream lives.
        self.call(|raw, error| {
            (unsafe { (self.functions.vdo_stream_start)(raw, error) } != 0).then_some(())
        })?;
        // SAFETY: the stream lives.
        self.fd = self.call(|raw, error| {
            let fd = unsafe { (self.functions.vdo_stream_get_fd)(raw, error) };
            (fd >= 0).then_some(fd)
        })?;
        Ok(())
    }

    /// What becomes readable when a frame or a failure has come. Only after [`Self::start`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the descriptor is the stream's own and stays open as long as the stream, which is borrowed.
        (self.fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(self.fd) })
    }

    /// Changes its rate, in frames a second, without a break.
    ///
    /// # Errors
    /// The library's own.
    pub fn set_frame_rate(&self, rate: f64) -> Outcome<()> {
        // SAFETY: the stream lives.
        self.call(|raw, error| {
            (unsafe { (self.functions.vdo_stream_set_framerate)(raw, rate, error) } != 0).then_some(())
        })
    }

    /// The next frame, without waiting for one.
    ///
    /// # Errors
    /// [`sys::VDO_ERROR_NO_DATA`] where there is none yet; what else the library says.
    pub fn frame(self: &Arc<Self>) -> Outcome<Buffer> {
        // SAFETY: the stream lives.
        let raw = self
            .call(|raw, error| NonNull::new(unsafe { (self.functions.vdo_stream_get_buffer)(raw, error) }))?;
        // From here on the buffer is given back, whatever happens.
        let mut buffer = Buffer {
            stream: self.clone(),
            raw,
            data: NonNull::dangling(),
            size: 0,
            capacity: 0,
            fd: -1,
            offset: 0,
            number: 0,
            dma_buf: false,
            timestamp: 0,
        };
        let functions = self.functions;
        // SAFETY: the buffer is ours until it is given back, and so is its frame.
        let data = unsafe {
            let raw = raw.as_ptr();
            let frame = (functions.vdo_buffer_get_frame)(raw);
            if frame.is_null() {
                return Err(Failure::own("a buffer came without a frame"));
            }
            buffer.size = (functions.vdo_frame_get_size)(frame);
            buffer.timestamp = (functions.vdo_frame_get_timestamp)(frame);
            buffer.capacity = (functions.vdo_buffer_get_capacity)(raw);
            buffer.fd = (functions.vdo_buffer_get_fd)(raw);
            buffer.offset = (functions.vdo_buffer_get_offset)(raw);
            (functions.vdo_buffer_get_data)(raw)
        };
        let key = (buffer.fd, buffer.offset);
        (buffer.number, buffer.dma_buf) = *lock(&self.numbers)
            .entry(key)
            .or_insert_with(|| (NEXT_BUFFER.fetch_add(1, Ordering::Relaxed), is_dma_buf(buffer.fd)));
        buffer.data = match NonNull::new(data.cast::<u8>()) {
            Some(data) => data,
            None => self.map(&buffer)?,
        };
        Ok(buffer)
    }

    /// Maps a buffer that the library did not map, once.
    fn map(&self, buffer: &Buffer) -> Outcome<NonNull<u8>> {
        let failed = |_| Failure::own("a buffer of the camera cannot be mapped into memory");
        let mut mapped = lock(&self.mapped);
        let mapping = match mapped.entry(buffer.number) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let whole =
                    u64::try_from(buffer.offset).map_err(|_| Failure::own("a buffer has no place"))?;
                // A mapping begins at a page.
                let within = usize::try_from(whole % rustix::param::page_size() as u64).unwrap_or(0);
                let size = buffer.capacity + within;
                if buffer.fd < 0 || buffer.capacity == 0 {
                    return Err(Failure::own("a buffer of the camera has no memory"));
                }
                // SAFETY: the descriptor is the buffer's and open; a new mapping touches no other memory.
                let start = unsafe {
                    rustix::mm::mmap(
                        ptr::null_mut(),
                        size,
                        rustix::mm::ProtFlags::READ,
                        rustix::mm::MapFlags::SHARED,
                        BorrowedFd::borrow_raw(buffer.fd),
                        whole - within as u64,
                    )
                }
                .map_err(failed)?;
                let start = NonNull::new(start).ok_or_else(|| Failure::own("a mapping has no place"))?;
                entry.insert(Mapped { start, size, offset: within })
            }
        };
        // SAFETY: the offset lies in the mapping, which is longer by it.
        Ok(unsafe { mapping.start.cast::<u8>().add(mapping.offset) })
    }
}

/// A frame of a stream; the camera fills its buffer again once this is gone.
pub struct Buffer {
    stream: Arc<Stream>,
    raw: NonNull<VdoBuffer>,
    data: NonNull<u8>,
    /// Bytes that the camera says are the frame.
    pub size: usize,
    /// Bytes of the buffer.
    pub capacity: usize,
    /// The buffer's file descriptor.
    pub fd: RawFd,
    /// Where it begins in it.
    pub offset: i64,
    /// The same for the same buffer, and for no other of any stream.
    pub number: u64,
    /// Whether the kernel says that its memory is a dma-buf.
    pub dma_buf: bool,
    /// When the frame was captured: microseconds of the monotonic clock.
    pub timestamp: u64,
}

// SAFETY: the buffer is given back under the stream's lock; its bytes are only read, and no one writes them until then.
unsafe impl Send for Buffer {}
// SAFETY: as above: shared access only reads.
unsafe impl Sync for Buffer {}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the memory is mapped with this size for as long as the buffer is ours, and the camera does not write
        // it meanwhile.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.capacity) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut error = ErrorSlot::new();
        let mut raw = self.raw.as_ptr();
        let stream = lock(&self.stream.raw);
        // SAFETY: the stream lives as long as this, and the buffer is given back once.
        let given = unsafe {
            (self.stream.functions.vdo_stream_buffer_unref)(stream.0.as_ptr(), &mut raw, &mut error.0)
        };
        drop(stream);
        if given == 0 {
            // The stream ends at its next call; there is nothing to do about one buffer.
            log::debug!("a frame's buffer was not taken back: {}", error.take(self.stream.functions));
        }
    }
}

/// `struct dma_buf_sync` of linux/dma-buf.h.
#[repr(C)]
struct DmaBufSync {
    flags: u64,
}

/// `DMA_BUF_IOCTL_SYNC`, `_IOW('b', 0, struct dma_buf_sync)`.
const DMA_BUF_IOCTL_SYNC: ioctl::Opcode = ioctl::opcode::write::<DmaBufSync>(b'b', 0);

/// Asks the kernel, with an end of reading that nobody began: only a dma-buf knows what that is.
fn is_dma_buf(fd: RawFd) -> bool {
    /// `DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END`.
    const END_OF_READING: u64 = 1 | 1 << 2;
    if fd < 0 {
        return false;
    }
    // SAFETY: the descriptor is a buffer's, which is ours for now; the opcode takes a pointer to a dma_buf_sync, which
    // the setter hands over.
    let done = rustix::io::retry_on_intr(|| unsafe {
        ioctl::ioctl(
            BorrowedFd::borrow_raw(fd),
            ioctl::Setter::<DMA_BUF_IOCTL_SYNC, DmaBufSync>::new(DmaBufSync { flags: END_OF_READING }),
        )
    });
    done.is_ok()
}
