//! The merge model: dots, version vectors, cells, records, and how they join.
