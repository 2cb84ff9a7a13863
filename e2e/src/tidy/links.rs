//! Documents name files that exist.

use super::source::{Finding, collect, relative};
use std::io;
use std::path::Path;

/// Relative links of all Markdown files at the root and under `docs`.
pub fn broken(root: &Path) -> io::Result<Vec<Finding>> {
    let mut files = Vec::new();
    collect(&root.join("docs"), "md", &mut files)?;
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    files.sort();
    let mut findings = Vec::new();
    for file in files {
        let directory = file.parent().unwrap_or(root).to_path_buf();
        let text = std::fs::read_to_string(&file)?;
        findings.extend(check(&relative(root, &file), &text, |to| {
            directory.join(to).exists()
        }));
    }
    Ok(findings)
}

/// Relative links of one document whose target `exists` denies.
fn check(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (at, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for part in line.split("](").skip(1) {
            let Some((target, _)) = part.split_once(')') else {
                continue;
            };
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !exists(file) {
                let text = format!("link to `{file}`, which does not exist");
                findings.push(Finding {
                    path: path.to_owned(),
                    line: at + 1,
                    text,
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found() {
        let text = "[a](b.md) [c](d.md#e) [f](#g) [h](https://i.example/)\n```\n[x](no.md)\n```\n";
        let findings = check("README.md", text, |to| to == "b.md");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("d.md"));
    }
}
