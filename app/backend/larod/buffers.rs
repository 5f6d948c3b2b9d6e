//! The capture's buffers that larod has been told of, each with the job that reads it.

use std::os::fd::{AsRawFd, OwnedFd};

use super::fault::{Fault, LarodResult, Remedy};
use super::map::Map;
use super::session::{Job, LarodModel, Side, TensorMemory, Tensors, dma_buf_of};
use super::sys::{self, Api};
use crate::vision::frame::SharedMemory;

/// Buffers of the capture that are known at a time. larod remembers at most 32 tensors a connection, and outputs
/// and the own input are among them; captures have two to five.
const KNOWN_BUFFERS: usize = 12;
/// What can be done with a frame's memory: `LAROD_FD_TYPE_DMA` of a dma-buf, `LAROD_FD_TYPE_DISK` of any other.
const DMA: u32 = sys::FD_DMABUF | sys::FD_MAP;
const DISK: u32 = sys::FD_READWRITE | sys::FD_MAP;

/// A buffer of the capture. Dropped in this order.
struct Known {
    memory: SharedMemory,
    job: Job,
    _tensors: Tensors,
    _fd: OwnedFd,
}

/// Where the jobs of new buffers begin and end.
pub struct Ends<'a> {
    /// The model that reads the buffers.
    pub model: &'a LarodModel,
    /// What it writes.
    pub outputs: &'a Tensors,
    /// Parameters of its jobs.
    pub params: Option<&'a Map>,
}

/// The buffers that one model reads, those told of last.
#[derive(Default)]
pub struct Buffers(Vec<Known>);

impl Buffers {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The job that reads this buffer, made once for each.
    ///
    /// # Errors
    /// [`Remedy::OtherInput`] where the memory is not to the device's taste.
    pub fn job(
        &mut self,
        api: &'static Api,
        ends: &Ends<'_>,
        memory: SharedMemory,
        fd: OwnedFd,
    ) -> LarodResult<&mut Job> {
        let place = match self.0.iter().position(|known| known.memory == memory) {
            Some(place) => place,
            None => {
                if self.0.len() >= KNOWN_BUFFERS {
                    self.0.remove(0);
                }
                let known = tell(api, ends, memory, fd).map_err(|fault| match fault.remedy() {
                    Remedy::Reconnect if fault.code != 0 => fault,
                    _ => Fault::misfit(&fault.doing, fault.said),
                })?;
                self.0.push(known);
                self.0.len() - 1
            }
        };
        // The place was just found or filled.
        self.0.get_mut(place).map(|known| &mut known.job).ok_or_else(|| Fault::own("run the model", "no job"))
    }
}

fn tell(api: &'static Api, ends: &Ends<'_>, memory: SharedMemory, fd: OwnedFd) -> LarodResult<Known> {
    let mut tensors = ends.model.describe(Side::Inputs)?;
    let (fd, offset, dma_buf) = if memory.offset != 0 && !memory.dma_buf {
        // Buffers of the kind vmem share one descriptor.
        let offset = i64::try_from(memory.offset).unwrap_or(i64::MAX);
        match dma_buf_of(api, fd.as_raw_fd(), offset) {
            Ok(own) => (own, 0, true),
            Err(_) => (fd, memory.offset, false),
        }
    } else {
        (fd, memory.offset, memory.dma_buf)
    };
    let properties = if dma_buf { DMA } else { DISK };
    let place = TensorMemory { fd: fd.as_raw_fd(), offset, size: memory.size, properties };
    tensors.put(0, place)?;
    tensors.track()?;
    let job = ends.model.job(&tensors, ends.outputs, ends.params)?;
    Ok(Known { memory, job, _tensors: tensors, _fd: fd })
}
