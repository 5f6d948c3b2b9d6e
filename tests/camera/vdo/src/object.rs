//! GObjects that hold a Rust value, and end the program where they are used after their end.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::sync::OnceLock;

use glib_sys::{gboolean, gpointer};
use gobject_sys as gobject;

use crate::misuse;

/// The instance as C sees it. Its memory stays for ever: a reference of our own is left when the program's last is gone,
/// and then there is no value any more.
#[repr(C)]
struct Instance<T> {
    parent: gobject::GObject,
    value: *mut T,
}

/// A class whose instances hold a `T`.
pub struct Class<T> {
    name: &'static CStr,
    registered: OnceLock<glib_sys::GType>,
    of: PhantomData<fn() -> T>,
}

/// Our own reference is the last one (or no longer is).
unsafe extern "C" fn toggled<T>(_: gpointer, object: *mut gobject::GObject, last: gboolean) {
    if last == 0 {
        return;
    }
    // SAFETY: GObject calls this for an instance of our class, which holds a box or nothing.
    unsafe {
        let place = &mut (*object.cast::<Instance<T>>()).value;
        let value = std::mem::replace(place, std::ptr::null_mut());
        if !value.is_null() {
            drop(Box::from_raw(value));
        }
    }
}

/// The program has given back our own reference.
unsafe extern "C" fn finalize(_: *mut gobject::GObject) {
    misuse("an object is released once more than it was given out")
}

unsafe extern "C" fn class_init(class: gpointer, _: gpointer) {
    // SAFETY: GObject gives the class of our type, which begins with GObject's.
    unsafe { (*class.cast::<gobject::GObjectClass>()).finalize = Some(finalize) }
}

impl<T> Class<T> {
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, registered: OnceLock::new(), of: PhantomData }
    }

    /// A new object; one reference, the caller's.
    pub fn object<P>(&self, value: T) -> *mut P {
        let class = *self.registered.get_or_init(|| {
            // SAFETY: sizes are those of the structures; the functions have the types that GObject wants.
            unsafe {
                gobject::g_type_register_static_simple(
                    gobject::G_TYPE_OBJECT,
                    self.name.as_ptr(),
                    size_of::<gobject::GObjectClass>() as u32,
                    Some(class_init),
                    size_of::<Instance<T>>() as u32,
                    None,
                    0,
                )
            }
        });
        // SAFETY: the class is registered; the instance is ours alone, and its value is set once.
        unsafe {
            let object = gobject::g_object_newv(class, 0, std::ptr::null_mut()).cast::<Instance<T>>();
            (*object).value = Box::into_raw(Box::new(value));
            gobject::g_object_add_toggle_ref(object.cast(), Some(toggled::<T>), std::ptr::null_mut());
            object.cast()
        }
    }

    /// The value of an object of this class. Ends the program where it was released.
    ///
    /// # Safety
    /// The pointer must be null or one that [`Self::object`] gave, and stay so while the value is used.
    pub unsafe fn value<'a>(&self, object: *const c_void) -> Option<&'a T> {
        // SAFETY: this function's contract; the memory of what was released stays.
        let object = unsafe { object.cast::<Instance<T>>().as_ref() }?;
        // SAFETY: a box, until the last reference is gone.
        match unsafe { object.value.as_ref() } {
            None => misuse(&format!("a {} is used after it was released", self.name.to_string_lossy())),
            value => value,
        }
    }
}
