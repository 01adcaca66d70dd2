//! Room to read into, lent by the thread: a connection holds a buffer while there is something in
//! it, so that one that is idle holds none, and one that is busy allocates none.

use std::cell::RefCell;

use bytes::BytesMut;

/// Bytes of a fresh buffer: one read takes what most statements and results are.
pub(super) const USUAL: usize = 16 * 1024;
/// Larger ones are not kept: they were for one large message.
const LARGEST: usize = 64 * 1024;
/// Buffers that a thread keeps: a connection takes two at a time, and gives them back before the
/// next one has its turn.
const MOST: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Sees to it that `buffer` has room for `wanted` bytes more.
pub(super) fn make_room(buffer: &mut BytesMut, wanted: usize) {
    // One that was read out to its end has its room yet, behind it.
    if buffer.capacity() == 0 && !buffer.try_reclaim(1) {
        *buffer = FREE
            .with_borrow_mut(Vec::pop)
            .unwrap_or_else(|| BytesMut::with_capacity(USUAL));
    }
    buffer.reserve(wanted);
}

/// Takes an empty buffer back.
pub(super) fn give_back(buffer: &mut BytesMut) {
    if !buffer.is_empty() {
        return;
    }
    // All of its room again, also what was read out; nothing is allocated.
    _ = buffer.try_reclaim(buffer.capacity() + 1);
    if buffer.capacity() == 0 {
        return;
    }
    let buffer = std::mem::take(buffer);
    FREE.with_borrow_mut(|free| {
        if free.len() < MOST && buffer.capacity() <= LARGEST {
            free.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_it_is_empty_and_not_too_large() {
        let mut buffer = BytesMut::new();
        make_room(&mut buffer, 100);
        buffer.extend_from_slice(b"x");
        let address = buffer.as_ptr();
        give_back(&mut buffer);
        assert_eq!(&buffer[..], b"x", "what holds something is not taken");
        buffer.clear();
        give_back(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        make_room(&mut buffer, USUAL);
        assert_eq!(buffer.as_ptr(), address);
        // Read out to its last byte, which leaves no capacity in sight.
        buffer.resize(buffer.capacity(), 0);
        buffer.advance(buffer.len());
        assert_eq!(buffer.capacity(), 0);
        give_back(&mut buffer);
        make_room(&mut buffer, USUAL);
        assert_eq!(buffer.as_ptr(), address);
        make_room(&mut buffer, 2 * LARGEST);
        buffer.resize(2 * LARGEST, 0);
        buffer.advance(2 * LARGEST - 1);
        buffer.clear();
        give_back(&mut buffer);
        make_room(&mut buffer, 1);
        assert!(buffer.capacity() <= LARGEST);
    }
}
