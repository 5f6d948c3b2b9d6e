//! GObjects that hold a Rust value.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::sync::OnceLock;

use glib_sys::gpointer;
use gobject_sys as gobject;

/// The instance as C sees it.
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

unsafe extern "C" fn finalize<T>(object: *mut gobject::GObject) {
    // SAFETY: GObject calls this once for an instance of our class, which holds a box or nothing; then comes the
    // parent's turn.
    unsafe {
        let value = (*object.cast::<Instance<T>>()).value;
        if !value.is_null() {
            drop(Box::from_raw(value));
        }
        let parent = gobject::g_type_class_peek(gobject::G_TYPE_OBJECT).cast::<gobject::GObjectClass>();
        if let Some(finalize) = (*parent).finalize {
            finalize(object);
        }
    }
}

unsafe extern "C" fn class_init<T>(class: gpointer, _: gpointer) {
    // SAFETY: GObject gives the class of our type, which begins with GObject's.
    unsafe { (*class.cast::<gobject::GObjectClass>()).finalize = Some(finalize::<T>) }
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
                    Some(class_init::<T>),
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
            object.cast()
        }
    }

    /// The value of an object of this class.
    ///
    /// # Safety
    /// The pointer must be null or such an object, and stay so while the value is used.
    pub unsafe fn value<'a>(&self, object: *const c_void) -> Option<&'a T> {
        // SAFETY: this function's contract.
        unsafe { object.cast::<Instance<T>>().as_ref().and_then(|object| object.value.as_ref()) }
    }
}
