//! Memory that larod and Spotter share, by file descriptor: dma-bufs and memfds.
//!
//! `unsafe` here: mapping, the ioctl of dma-bufs, and descriptors that C hands over as numbers.
#![allow(unsafe_code, reason = "memory that a device writes too")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use rustix::fs::MemfdFlags;
use rustix::ioctl::{self, Setter, opcode};
use rustix::mm::{MapFlags, ProtFlags};

/// `struct dma_buf_sync` of linux/dma-buf.h.
#[repr(C)]
struct DmaBufSync {
    flags: u64,
}

/// `DMA_BUF_IOCTL_SYNC`, `_IOW('b', 0, struct dma_buf_sync)`.
const DMA_BUF_IOCTL_SYNC: ioctl::Opcode = opcode::write::<DmaBufSync>(b'b', 0);
/// `DMA_BUF_SYNC_END`; a start has no flag.
const SYNC_END: u64 = 1 << 2;

/// What the processor does with mapped memory: `DMA_BUF_SYNC_READ` and `DMA_BUF_SYNC_WRITE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read = 1,
    Write = 2,
}

/// A descriptor of our own for the same open file.
///
/// # Errors
/// Where `fd` is not open, or there are no descriptors left.
pub fn duplicate(fd: RawFd) -> std::io::Result<OwnedFd> {
    if fd < 0 {
        return Err(std::io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error()));
    }
    // SAFETY: it is borrowed for this one call; a number that is not open makes the call fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?)
}

/// Closes a descriptor that somebody else may have closed: only where it is open and for the same memory as `own`,
/// which tells them apart from whatever has got the number since.
pub fn close_if_same(fd: RawFd, own: &OwnedFd) {
    // Older kernels give all dma-bufs one number; then nothing is known, and what may be another's stays open.
    let link = std::fs::read_link(format!("/proc/self/fd/{}", own.as_raw_fd()));
    if fd < 0 || link.is_ok_and(|name| name.to_string_lossy().starts_with("anon_inode:")) {
        return;
    }
    // SAFETY: it is borrowed for this one call; a number that is not open makes the call fail.
    let found = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) });
    let (Ok(found), Ok(wanted)) = (found, rustix::fs::fstat(own)) else { return };
    if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino) {
        // SAFETY: nobody uses it any more: it is none of our own descriptors, all of which have other numbers.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

/// Sets where the next write to the file begins.
///
/// # Errors
/// Where it has no such place.
pub fn stand_at(file: &OwnedFd, offset: u64) -> std::io::Result<()> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(offset))?;
    Ok(())
}

/// A file in memory with these bytes, to be handed to larod.
///
/// # Errors
/// Where the system gives none.
pub fn file_of(name: &str, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&fd, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0))?;
    Ok(fd)
}

/// Memory of a descriptor, mapped; unmapped when dropped. Of a dma-buf it may be touched only between
/// [`Mapped::begin`] and [`Mapped::end`].
pub struct Mapped {
    fd: OwnedFd,
    base: NonNull<u8>,
    mapped: usize,
    skip: usize,
    size: usize,
    dma_buf: bool,
    access: Option<Access>,
}

// SAFETY: the mapping belongs to this value alone and has no thread affinity.
unsafe impl Send for Mapped {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `size` bytes of the file from `offset` on, for reading and writing.
    ///
    /// # Errors
    /// Where the descriptor cannot be mapped.
    pub fn new(fd: RawFd, offset: u64, size: usize, dma_buf: bool) -> std::io::Result<Self> {
        let fd = duplicate(fd)?;
        let page = rustix::param::page_size() as u64;
        // Less than a page.
        let skip = (offset % page) as usize;
        let mapped = size
            .checked_add(skip)
            .filter(|all| size > 0 && isize::try_from(*all).is_ok())
            .ok_or_else(|| std::io::Error::other(format!("{size} bytes cannot be mapped")))?;
        if !dma_buf {
            // Touching a mapping behind the end of its file is a signal; a dma-buf cannot be shorter.
            let there = u64::try_from(rustix::fs::fstat(&fd)?.st_size).unwrap_or(0);
            if there < offset.saturating_add(size as u64) {
                let text = format!("{size} bytes at {offset} are wanted of memory of {there} bytes");
                return Err(std::io::Error::other(text));
            }
        }
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the system chooses touches no other memory.
        let base = unsafe {
            rustix::mm::mmap(ptr::null_mut(), mapped, flags, MapFlags::SHARED, &fd, offset - skip as u64)
        }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| std::io::Error::other("mapped to nothing"))?;
        Ok(Self { fd, base, mapped, skip, size, dma_buf, access: None })
    }

    /// Whether the processor's access has to be told to the driver.
    pub fn is_dma_buf(&self) -> bool {
        self.dma_buf
    }

    /// Says that the processor is about to read or write.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub fn begin(&mut self, access: Access) -> std::io::Result<()> {
        if self.access == Some(access) {
            return Ok(());
        }
        self.end()?;
        self.sync(access as u64)?;
        self.access = Some(access);
        Ok(())
    }

    /// Says that the processor is done; what it wrote is then what the device reads.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub fn end(&mut self) -> std::io::Result<()> {
        match self.access.take() {
            Some(access) => self.sync(access as u64 | SYNC_END),
            None => Ok(()),
        }
    }

    fn sync(&self, flags: u64) -> std::io::Result<()> {
        if !self.dma_buf {
            return Ok(());
        }
        // SAFETY: the opcode takes a pointer to a dma_buf_sync, which the setter hands over.
        let done = rustix::io::retry_on_intr(|| unsafe {
            ioctl::ioctl(self.fd.as_fd(), Setter::<DMA_BUF_IOCTL_SYNC, DmaBufSync>::new(DmaBufSync { flags }))
        });
        match done {
            // What is called a dma-buf and is none (a memfd) needs no synchronisation.
            Err(rustix::io::Errno::NOTTY) => Ok(()),
            other => Ok(other?),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has skip + size bytes and lives as long as self. The device does not write while
        // it is read: that is the order of Backend's calls.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(self.skip), self.size) }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in bytes; &mut self excludes any other access of this process.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(self.skip), self.size) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // What fails here has no consequence: the memory is not used any more.
        let _ = self.end();
        // SAFETY: exactly what was mapped, and nobody has a reference into it any more.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_of_a_file_are_the_same_memory() {
        let fd = file_of("test", &[7; 10_000]).unwrap();
        let mut one = Mapped::new(fd.as_raw_fd(), 0, 10_000, false).unwrap();
        // Not at a page's start, and called a dma-buf though it is none.
        let mut other = Mapped::new(fd.as_raw_fd(), 5000, 5000, true).unwrap();
        drop(fd);
        one.begin(Access::Write).unwrap();
        one.bytes_mut()[5000] = 9;
        one.end().unwrap();
        other.begin(Access::Read).unwrap();
        assert_eq!((other.bytes()[0], other.bytes()[4999], other.bytes().len()), (9, 7, 5000));
        other.end().unwrap();
    }

    #[test]
    fn only_a_descriptor_of_the_same_memory_is_closed() {
        use std::os::fd::IntoRawFd;
        let (own, other) = (file_of("one", &[1]).unwrap(), file_of("other", &[1]).unwrap());
        let left = duplicate(own.as_raw_fd()).unwrap().into_raw_fd();
        close_if_same(left, &own);
        assert!(duplicate(left).is_err(), "it was left open");
        // Closed already; used again for something else; none at all.
        close_if_same(left, &own);
        close_if_same(other.as_raw_fd(), &own);
        close_if_same(-1, &own);
        assert_eq!(rustix::fs::fstat(&other).unwrap().st_size, 1);
        assert_eq!(rustix::fs::fstat(&own).unwrap().st_size, 1);
    }

    #[test]
    fn what_is_not_there_is_not_mapped() {
        let fd = file_of("test", &[1; 100]).unwrap();
        assert!(Mapped::new(fd.as_raw_fd(), 0, 101, false).is_err());
        assert!(Mapped::new(fd.as_raw_fd(), 0, 0, false).is_err());
        assert!(Mapped::new(fd.as_raw_fd(), u64::MAX, 1, false).is_err());
        assert!(duplicate(-1).is_err() && duplicate(i32::MIN).is_err() && duplicate(1 << 20).is_err());
    }

    #[test]
    fn the_ioctl_is_that_of_the_kernel() {
        assert_eq!(DMA_BUF_IOCTL_SYNC, 0x4008_6200);
        assert_eq!(size_of::<DmaBufSync>(), 8);
    }
}
