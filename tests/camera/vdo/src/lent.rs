//! Buffers that are with the program: whose they are, and what becomes of those that are misused.
//!
//! A buffer's address is that of what is lent, which is new each time, so that one that was given back is known from
//! one that was lent again. What was given back stays in memory for a while, without a buffer.

use std::collections::{HashSet, VecDeque};
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use crate::misuse;
use crate::stream::{VdoBuffer, VdoFrame};

/// So many that were given back are remembered.
const REMEMBERED: usize = 4096;

/// A buffer with the program.
pub struct Lent {
    buffer: Option<Box<VdoBuffer>>,
    frame: VdoFrame,
}

#[derive(Default)]
struct Known {
    all: HashSet<usize>,
    ended: VecDeque<usize>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

fn known<R>(act: impl FnOnce(&mut Known) -> R) -> R {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    act(known.get_or_insert_with(Known::default))
}

/// Lends a buffer.
pub fn lend(buffer: Box<VdoBuffer>) -> *mut Lent {
    let frame = buffer.frame;
    let lent = Box::into_raw(Box::new(Lent { buffer: Some(buffer), frame }));
    known(|known| known.all.insert(lent as usize));
    lent
}

fn checked<'a>(lent: *mut Lent) -> &'a mut Lent {
    if !known(|known| known.all.contains(&(lent as usize))) {
        misuse("a buffer is used that no stream has given");
    }
    // SAFETY: an address that was lent and is remembered is a box that nobody has freed.
    unsafe { &mut *lent }
}

/// The buffer; none of null. Ends the program where it was given back, or where its stream is gone.
///
/// # Safety
/// The value must not be used after the buffer was given back.
pub unsafe fn buffer<'a>(lent: *mut Lent) -> Option<&'a mut VdoBuffer> {
    if lent.is_null() {
        return None;
    }
    match checked(lent).buffer.as_deref_mut() {
        None => misuse("a buffer is used after it was given back"),
        Some(buffer) if buffer.is_orphan() => misuse("a buffer is used after the end of its stream"),
        buffer => buffer,
    }
}

/// Its frame.
pub fn frame(lent: *mut Lent) -> *mut VdoFrame {
    // SAFETY: only the check is wanted.
    match unsafe { buffer(lent) } {
        Some(_) => &mut checked(lent).frame,
        None => std::ptr::null_mut(),
    }
}

/// Ends the loan: the buffer, for its stream.
pub fn take(lent: *mut Lent) -> Box<VdoBuffer> {
    let Some(buffer) = checked(lent).buffer.take() else { misuse("a buffer is given back twice") };
    checked(lent).frame = VdoFrame::POISON;
    let oldest = known(|known| {
        known.ended.push_back(lent as usize);
        let oldest = (known.ended.len() > REMEMBERED).then(|| known.ended.pop_front()).flatten();
        oldest.inspect(|oldest| {
            known.all.remove(oldest);
        })
    });
    if let Some(oldest) = oldest {
        // SAFETY: a box that was lent, and is forgotten now.
        drop(unsafe { Box::from_raw(oldest as *mut c_void as *mut Lent) });
    }
    buffer
}
