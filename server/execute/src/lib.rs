//! Commands over a view of the data: reply and effects, without I/O.
