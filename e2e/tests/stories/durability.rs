//! What disks and kills may do: nothing acknowledged is lost, nothing damaged is served.

mod bytes;
mod disk;
mod kills;
mod memory;
