//! What is drawn once for a run: how many take part, how they are linked, and how rough it is.

use crate::random::Random;

/// Which writers are linked with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Mesh,
    Line,
    Star,
}

impl Shape {
    pub(crate) fn has(self, a: usize, b: usize) -> bool {
        match self {
            Self::Mesh => a != b,
            Self::Line => a.abs_diff(b) == 1,
            Self::Star => a != b && (a == 0 || b == 0),
        }
    }
}

/// One run's settings. Chances are per step, in a thousand.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// By group: how many instances.
    pub(crate) groups: Vec<usize>,
    pub(crate) shape: Shape,
    pub(crate) steps: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) window_records: u64,
    /// Whether clients wait for durability.
    pub(crate) always: bool,
    /// Whether FLUSHDB is among the commands; then nothing can be said of single keys.
    pub(crate) flushes: bool,
    /// Whether logs are purged although somebody needs them.
    pub(crate) purges_hard: bool,
    pub(crate) delay_ms_max: u64,
    pub(crate) crash: usize,
    pub(crate) cut: usize,
    pub(crate) promote: usize,
    pub(crate) disk_fault: usize,
    pub(crate) damage: usize,
    pub(crate) jump: usize,
}

impl Settings {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let count = random.pick(&[2, 2, 2, 3, 3, 4, 5]);
        let with_replicas = random.below(3) > 0;
        let groups = (0..count)
            .map(|_| {
                if with_replicas {
                    1 + random.below(3)
                } else {
                    1
                }
            })
            .collect();
        let mut chance = |most: usize| {
            if random.below(3) == 0 {
                0
            } else {
                1 + random.below(most)
            }
        };
        let (crash, cut, promote) = (chance(12), chance(12), chance(8));
        let (disk_fault, damage, jump) = (chance(6), chance(6), chance(5));
        Self {
            groups,
            shape: random.pick(&[Shape::Mesh, Shape::Line, Shape::Star]),
            steps: random.pick(&[100, 200, 400]),
            segment_bytes: random.pick(&[300, 1_000, 4_000, 100_000]),
            window_records: random.pick(&[1, 5, 100]),
            always: random.below(2) == 0,
            flushes: random.below(4) == 0,
            purges_hard: random.below(3) == 0,
            delay_ms_max: random.pick(&[1, 20, 200]),
            crash,
            cut,
            promote,
            disk_fault,
            damage,
            jump,
        }
    }
}
