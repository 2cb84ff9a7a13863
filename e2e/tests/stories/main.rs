//! Acceptance stories through the real binary, one after another. Sizes are a tenth of the
//! acceptance list's; `TANDEM_FULL=1` gives the full ones. Each prints what it measured.
//!
//! ```text
//! pair          two masters: AT-01 to AT-08
//! ```

mod pair;
