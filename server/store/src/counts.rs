//! What is counted of a database's keys, in memory and tree together.

use tandem_merge::{NEVER, Object};

/// Keys with content, and those of them that have an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Keys with content, expired ones included.
    pub keys: i64,
    /// Those of them that have an end.
    pub expires: i64,
}

impl Counts {
    /// What one object counts.
    #[inline]
    pub fn of(object: &Object) -> Self {
        let has_content = object.has_content();
        Self {
            keys: i64::from(has_content),
            expires: i64::from(has_content && has_end(object)),
        }
    }
}

/// Whether an object has a deadline that passes some day.
#[inline]
pub fn has_end(object: &Object) -> bool {
    let deadline = object.deadline();
    deadline != NEVER && deadline != 0
}

impl std::ops::AddAssign for Counts {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.keys += other.keys;
        self.expires += other.expires;
    }
}

impl std::ops::SubAssign for Counts {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        self.keys -= other.keys;
        self.expires -= other.expires;
    }
}
