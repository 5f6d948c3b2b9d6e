//! The delegate: it takes the operators that are compiled for the Edge TPU and runs what is inside them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::MAGIC;
use crate::faults::{has, note};
use crate::tflite::{
    Context, Delegate, DelegateParams, ERROR, IntArray, Node, OK, Registration, Status, Tensor, Twin,
};

/// `kTfLiteDelegateFlagsAllowDynamicTensors`.
const ALLOW_DYNAMIC_TENSORS: i64 = 1;
const OPERATOR: &CStr = c"edgetpu-custom-op";

/// One operator on the device.
struct Kernel {
    twin: Twin,
    /// The operator's tensors in its own order: TensorFlow Lite sorts those of a delegate's kernel.
    inputs: Vec<c_int>,
    outputs: Vec<c_int>,
    /// Whether its device was lost.
    lost: bool,
}

/// A new delegate.
pub(crate) fn create() -> *mut Delegate {
    Box::into_raw(Box::new(Delegate {
        data: ptr::null_mut(),
        prepare: Some(take_operators),
        copy_from_buffer_handle: ptr::null(),
        copy_to_buffer_handle: ptr::null(),
        free_buffer_handle: ptr::null(),
        // Else TensorFlow Lite prepares all operators before, and knows no such one.
        flags: ALLOW_DYNAMIC_TENSORS,
        opaque_delegate_builder: ptr::null_mut(),
    }))
}

/// Deletes a delegate.
///
/// # Safety
/// [`create`] made it, and nobody uses it any more.
pub(crate) unsafe fn delete(delegate: *mut Delegate) {
    // SAFETY: the caller's contract.
    drop(unsafe { Box::from_raw(delegate) });
}

/// `TfLiteDelegate::Prepare`.
unsafe extern "C" fn take_operators(context: *mut Context, delegate: *mut Delegate) -> Status {
    let kernel = || Registration {
        init: Some(init),
        free: Some(free),
        prepare: Some(prepare),
        invoke: Some(invoke),
        profiling_string: ptr::null(),
        builtin_code: 0,
        custom_name: c"EdgeTpuDelegateForCustomOp".as_ptr(),
        version: 1,
        registration_external: ptr::null_mut(),
        async_kernel: ptr::null(),
        inplace_operator: 0,
    };
    // SAFETY: TensorFlow Lite gives a context that is alive; its functions are called as common.h says. An
    // array of one number is laid out as IntArray is.
    unsafe {
        let mut plan = ptr::null_mut();
        if ((*context).get_execution_plan)(context, &mut plan) != OK {
            return ERROR;
        }
        // A copy: the plan changes as operators are taken.
        for index in IntArray::to_vec(plan) {
            let (mut node, mut operator) = (ptr::null_mut(), ptr::null_mut());
            if ((*context).get_node_and_registration)(context, index, &mut node, &mut operator) != OK {
                return ERROR;
            }
            let name = (*operator).custom_name;
            if name.is_null() || CStr::from_ptr(name) != OPERATOR {
                continue;
            }
            let one: [c_int; 2] = [1, index];
            if ((*context).replace_node_subsets)(context, kernel(), one.as_ptr().cast(), delegate) != OK {
                return ERROR;
            }
        }
    }
    OK
}

/// `TfLiteRegistration::init`: null where the operator is not for this device.
unsafe extern "C" fn init(context: *mut Context, parameters: *const c_char, _size: usize) -> *mut c_void {
    // SAFETY: a delegate's kernel gets TfLiteDelegateParams; the node that it replaces lives as long as the
    // model, whose bytes its data is.
    let (file, inputs, outputs) = unsafe {
        let parameters = parameters.cast::<DelegateParams>();
        let nodes = IntArray::to_vec((*parameters).nodes_to_replace);
        let (mut node, mut operator): (*mut Node, _) = (ptr::null_mut(), ptr::null_mut());
        let Some(first) = nodes.first() else { return ptr::null_mut() };
        if ((*context).get_node_and_registration)(context, *first, &mut node, &mut operator) != OK {
            return ptr::null_mut();
        }
        let data = (*node).custom_initial_data.cast::<u8>();
        let size = usize::try_from((*node).custom_initial_data_size).unwrap_or(0);
        if data.is_null() {
            return ptr::null_mut();
        }
        let data = std::slice::from_raw_parts(data, size);
        (data, IntArray::to_vec((*node).inputs), IntArray::to_vec((*node).outputs))
    };
    let Some(file) = file.strip_prefix(MAGIC) else {
        eprintln!("libedgetpu stand-in: the operator was compiled for a real Edge TPU");
        return ptr::null_mut();
    };
    match Twin::load(file) {
        Ok(twin) => {
            note("load");
            Box::into_raw(Box::new(Kernel { twin, inputs, outputs, lost: false })).cast()
        }
        Err(why) => {
            eprintln!("libedgetpu stand-in: {why}");
            ptr::null_mut()
        }
    }
}

/// `TfLiteRegistration::free`.
unsafe extern "C" fn free(_context: *mut Context, kernel: *mut c_void) {
    if !kernel.is_null() {
        note("unload");
        // SAFETY: `init` made it; TensorFlow Lite frees it once.
        drop(unsafe { Box::from_raw(kernel.cast::<Kernel>()) });
    }
}

/// The tensors with these numbers; none where one of them does not exist.
///
/// # Safety
/// The context is alive and has these tensors.
unsafe fn tensors(context: *mut Context, indices: &[c_int]) -> Option<Vec<*mut Tensor>> {
    let tensor = |index: &c_int| {
        let index = usize::try_from(*index).ok()?;
        // SAFETY: the caller's contract.
        Some(unsafe { (*context).tensors.add(index) })
    };
    indices.iter().map(tensor).collect()
}

/// `TfLiteRegistration::prepare`: the tensors must be those of what is inside.
unsafe extern "C" fn prepare(context: *mut Context, node: *mut Node) -> Status {
    // SAFETY: TensorFlow Lite gives what `init` made, and a living context with the operator's tensors.
    unsafe {
        let Some(kernel) = (*node).user_data.cast::<Kernel>().as_ref() else { return ERROR };
        let (Some(inputs), Some(outputs)) =
            (tensors(context, &kernel.inputs), tensors(context, &kernel.outputs))
        else {
            return ERROR;
        };
        let bytes =
            |tensors: Vec<*mut Tensor>| tensors.iter().map(|tensor| (**tensor).bytes).collect::<Vec<_>>();
        if (bytes(inputs), bytes(outputs)) == kernel.twin.sizes() { OK } else { ERROR }
    }
}

/// `TfLiteRegistration::invoke`.
unsafe extern "C" fn invoke(context: *mut Context, node: *mut Node) -> Status {
    // SAFETY: as for `prepare`; the interpreter runs on one thread, so nobody else has the kernel.
    unsafe {
        let Some(kernel) = (*node).user_data.cast::<Kernel>().as_mut() else { return ERROR };
        kernel.lost |= has("lost");
        if kernel.lost {
            return ERROR;
        }
        let (Some(inputs), Some(outputs)) =
            (tensors(context, &kernel.inputs), tensors(context, &kernel.outputs))
        else {
            return ERROR;
        };
        kernel.twin.run(&inputs, &outputs)
    }
}
