//! How the story is told: short lines, ticks and crosses.

use super::super::error::CliError;
use super::super::out::{self, BAD, BOLD, DIM, GOOD, paint};

/// The terminal, and how many steps went well or wrong.
#[derive(Debug, Default)]
pub(super) struct Stage {
    acts: u32,
    good: u32,
    bad: u32,
}

impl Stage {
    /// A new act of the story.
    pub(super) fn act(&mut self, title: &str) -> Result<(), CliError> {
        self.acts += 1;
        let number = paint(DIM, &self.acts.to_string());
        out::print(&format!("\n{number}  {}", paint(BOLD, title)))
    }

    /// A command that somebody types.
    pub(super) fn command(&self, who: &str, line: &str) -> Result<(), CliError> {
        let prompt = paint(DIM, &format!("{who} $"));
        out::print(&format!("   {prompt} {line}"))
    }

    /// What a command says.
    pub(super) fn output(&self, text: &str) -> Result<(), CliError> {
        let lines: Vec<String> = text
            .trim_end()
            .lines()
            .map(|line| format!("     {line}"))
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        out::print(&lines.join("\n"))
    }

    /// A remark.
    pub(super) fn remark(&self, text: &str) -> Result<(), CliError> {
        out::print(&format!("   {}", paint(DIM, text)))
    }

    /// Whether a step did what it should.
    pub(super) fn check(&mut self, did: bool, claim: &str) -> Result<(), CliError> {
        if did {
            self.good += 1;
            out::print(&format!("   {} {claim}", paint(GOOD, "✓")))
        } else {
            self.bad += 1;
            let claim = format!("this should be so, and is not: {claim}");
            out::print(&format!("   {} {}", paint(BAD, "✗"), paint(BAD, &claim)))
        }
    }

    /// Whether every step did what it should.
    pub(super) fn is_good(&self) -> bool {
        self.bad == 0
    }

    /// The story in a line.
    pub(super) fn sum(&self, seconds: u64) -> String {
        if self.is_good() {
            let line = format!("All {} steps did what they say, in {seconds} s.", self.good);
            return paint(GOOD, &line);
        }
        let all = self.good + self.bad;
        paint(
            BAD,
            &format!("{} of {all} steps did not do what they say.", self.bad),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_that_fails_spoils_the_whole() {
        let mut stage = Stage::default();
        stage.check(true, "one").unwrap();
        assert!(stage.is_good() && stage.sum(3).contains("All 1 steps"));
        stage.check(false, "two").unwrap();
        assert!(!stage.is_good() && stage.sum(3).contains("1 of 2"));
    }
}
