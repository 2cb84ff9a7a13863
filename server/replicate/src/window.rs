//! What is on its way to one receiver of one database and not acknowledged: bounded in records and
//! bytes, so that a slow receiver costs bounded memory and holds back nobody else.

use std::collections::VecDeque;

/// A receiver's window.
#[derive(Debug, Clone)]
pub struct Window {
    records_max: u64,
    bytes_max: u64,
    records: u64,
    bytes: u64,
    /// Batches on their way: (lsn behind it, records, bytes), ascending.
    sent: VecDeque<(u64, u64, u64)>,
}

impl Window {
    /// A window of at most so many records and bytes; at least one batch always fits.
    pub fn new(records_max: u64, bytes_max: u64) -> Self {
        Self {
            records_max,
            bytes_max,
            records: 0,
            bytes: 0,
            sent: VecDeque::new(),
        }
    }

    /// Whether another batch may be sent.
    pub fn is_open(&self) -> bool {
        self.sent.is_empty() || (self.records < self.records_max && self.bytes < self.bytes_max)
    }

    /// A batch that ends at `lsn` was sent.
    pub fn sent(&mut self, lsn: u64, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.sent.push_back((lsn, records, bytes));
    }

    /// Everything up to `lsn` is applied. Returns whether the window was closed and opened by it.
    pub fn acknowledged(&mut self, lsn: u64) -> bool {
        let was_open = self.is_open();
        while let Some((end, records, bytes)) = self.sent.front()
            && *end <= lsn
        {
            self.records -= records;
            self.bytes -= bytes;
            self.sent.pop_front();
        }
        !was_open && self.is_open()
    }

    /// Records and bytes on their way.
    pub fn in_flight(&self) -> (u64, u64) {
        (self.records, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_at_either_bound_and_opens_by_acks() {
        let mut window = Window::new(10, 1_000);
        window.sent(100, 4, 500);
        assert!(window.is_open());
        window.sent(200, 6, 100);
        assert!(!window.is_open(), "ten records are on their way");
        assert!(!window.acknowledged(99), "nothing is whole yet");
        assert!(window.acknowledged(100));
        assert_eq!(window.in_flight(), (6, 100));
        window.sent(300, 1, 950);
        assert!(
            !window.is_open(),
            "more bytes than allowed are on their way"
        );
        assert!(window.acknowledged(300));
        assert_eq!(window.in_flight(), (0, 0));
    }

    #[test]
    fn one_batch_fits_however_large() {
        let mut window = Window::new(1, 1);
        assert!(window.is_open());
        window.sent(5, 100, 100);
        assert!(!window.is_open());
        assert!(window.acknowledged(u64::MAX));
    }

    #[test]
    fn an_ack_of_an_open_window_opens_nothing() {
        let mut window = Window::new(10, 10);
        window.sent(5, 1, 1);
        assert!(!window.acknowledged(5));
    }
}
