//! The workspace's sources as the checks see them.

use super::lexer;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, from the workspace's root.
    pub path: String,
    /// Line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl Finding {
    /// About one line.
    pub fn at(source: &Source, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: source.path.clone(),
            line,
            text: text.into(),
        }
    }

    /// About a whole file.
    pub fn of(path: &str, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: 0,
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// One Rust file.
#[derive(Debug)]
pub struct Source {
    /// Path from the workspace's root, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Code without comments, literals and test items.
    pub code: String,
    /// Comments only.
    pub comments: String,
    /// An `x` where a literal stands.
    pub literals: String,
    /// Whether the whole file is a test, an example or a benchmark.
    pub is_test: bool,
    test_files: Vec<String>,
}

impl Source {
    /// Takes a file apart.
    pub fn new(path: &str, text: &str) -> Self {
        let masked = lexer::mask(text);
        let (code, test_files) = lexer::without_tests(&masked.code);
        let is_test = ["/tests/", "/examples/", "/benches/"]
            .iter()
            .any(|p| path.contains(p));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments: masked.comments,
            literals: masked.literals,
            is_test,
            test_files,
        }
    }

    /// The crate's directory, `server/store` in `server/store/src/log.rs`.
    pub fn package(&self) -> &str {
        let end = ["/src/", "/tests/", "/examples/", "/benches/"]
            .iter()
            .filter_map(|part| self.path.find(part))
            .min();
        end.map_or("", |end| &self.path[..end])
    }

    /// Path inside the crate's `src` without `.rs`; `None` for other files.
    pub fn module(&self) -> Option<&str> {
        let (_, inside) = self
            .path
            .split_once("/src/")
            .filter(|_| !self.package().is_empty())?;
        self.path
            .strip_prefix(self.package())?
            .strip_prefix("/src/")
            .filter(|p| *p == inside)?;
        inside.strip_suffix(".rs")
    }

    /// Lines of code with their numbers.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }

    /// Directory in which the modules that this file declares lie.
    pub fn children_at(&self) -> String {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let name = stem.rsplit('/').next().unwrap_or(stem);
        let parent = stem
            .strip_suffix(name)
            .unwrap_or_default()
            .trim_end_matches('/');
        let is_root = ["lib", "main", "mod"].contains(&name)
            || parent.ends_with("/bin")
            || parent.ends_with("/tests")
            || parent.ends_with("/examples");
        if is_root {
            parent.to_owned()
        } else {
            stem.to_owned()
        }
    }
}

/// The workspace's root, found from this crate. Cargo tells it at run time: what was compiled in may
/// be another clone that shares the build directory.
pub fn root() -> PathBuf {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = told.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().unwrap_or(&here).to_path_buf()
}

/// All Rust files of the workspace, in order of their path. Files behind `#[cfg(test)] mod x;` count
/// as tests, with everything below them.
pub fn read_workspace(root: &Path) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    for part in ["e2e", "operator", "server"] {
        collect(&root.join(part), "rs", &mut files)?;
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        sources.push(Source::new(&relative(root, &file), &text));
    }
    mark_test_files(&mut sources);
    Ok(sources)
}

/// Marks files that are declared under `#[cfg(test)]`.
pub fn mark_test_files(sources: &mut [Source]) {
    let mut tests = HashSet::new();
    for source in sources.iter() {
        for name in &source.test_files {
            tests.insert(format!("{}/{name}", source.children_at()));
        }
    }
    for source in sources {
        let is_below = |test: &String| {
            source
                .path
                .strip_prefix(test.as_str())
                .is_some_and(|p| p == ".rs" || p.starts_with('/'))
        };
        source.is_test |= tests.iter().any(is_below);
    }
}

/// Path from the root, with `/`.
pub fn relative(root: &Path, file: &Path) -> String {
    file.strip_prefix(root)
        .unwrap_or(file)
        .to_string_lossy()
        .replace('\\', "/")
}

/// Adds the files with an extension below a directory; build output and hidden directories are
/// left out.
pub fn collect(directory: &Path, extension: &str, out: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, extension, out)?;
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            out.push(path);
        }
    }
    Ok(())
}

/// The lines that findings name.
#[cfg(test)]
pub(super) fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_crate_and_module_it_is() {
        let source = Source::new("server/store/src/log/writer.rs", "");
        assert_eq!(source.package(), "server/store");
        assert_eq!(source.module(), Some("log/writer"));
        assert_eq!(
            Source::new("operator/src/main.rs", "").package(),
            "operator"
        );
        assert_eq!(
            Source::new("server/merge/tests/world/oracle.rs", "").module(),
            None
        );
    }

    #[test]
    fn files_declared_for_tests_are_tests_with_all_below() {
        let mut sources = vec![
            Source::new("a/src/vv.rs", "#[cfg(test)]\nmod tests;\nmod row;"),
            Source::new("a/src/vv/tests.rs", "mod deep;"),
            Source::new("a/src/vv/tests/deep.rs", ""),
            Source::new("a/src/vv/row.rs", ""),
        ];
        mark_test_files(&mut sources);
        let tests: Vec<bool> = sources.iter().map(|source| source.is_test).collect();
        assert_eq!(tests, [false, true, true, false]);
    }
}
