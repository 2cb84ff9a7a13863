//! What is let off, and why. An entry that is no longer needed is a finding itself, so the list can
//! only shrink.

use super::source::Finding;

/// One thing that is let off.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// File it is about.
    pub path: &'static str,
    /// Part of the finding's text, to tell several about one file apart.
    pub about: &'static str,
    /// Why, and until when.
    pub reason: &'static str,
}

/// Takes the excepted findings away and adds one for each exception that nothing needs any more.
pub fn settle(findings: Vec<Finding>, exceptions: &[Exception]) -> Vec<Finding> {
    let matches = |exception: &Exception, finding: &Finding| {
        finding.path == exception.path && finding.text.contains(exception.about)
    };
    let idle: Vec<Finding> = exceptions
        .iter()
        .filter(|exception| !findings.iter().any(|finding| matches(exception, finding)))
        .map(|exception| {
            let text = format!(
                "exception `{}` is no longer needed: remove it",
                exception.about
            );
            Finding::of(exception.path, text)
        })
        .collect();
    let mut rest: Vec<Finding> = findings
        .into_iter()
        .filter(|finding| {
            !exceptions
                .iter()
                .any(|exception| matches(exception, finding))
        })
        .collect();
    rest.extend(idle);
    rest.sort();
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const LET_OFF: Exception = Exception {
        path: "a.rs",
        about: "too long",
        reason: "generated",
    };

    #[test]
    fn an_exception_takes_only_what_it_names() {
        let long = Finding::of("a.rs", "it is too long");
        let other = Finding::of("a.rs", "no head");
        assert_eq!(settle(vec![long, other.clone()], &[LET_OFF]), [other]);
    }

    #[test]
    fn an_exception_that_nothing_needs_is_a_finding() {
        let findings = settle(Vec::new(), &[LET_OFF]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("no longer needed"));
    }
}
