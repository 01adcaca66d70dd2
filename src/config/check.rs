//! Collects what is wrong while the sections are read, and gives each finding its place.

use std::borrow::Borrow;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::document::Misfit;
use super::error::Finding;
use super::raw::{Field, List};
use super::values::Parsed;

/// Looks an environment variable up.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A dotted key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) key: String,
    pub(super) span: Range<usize>,
}

/// The findings so far, and what is needed to make more.
pub(super) struct Check<'a> {
    file: &'a Path,
    text: &'a str,
    pub(super) environment: Environment<'a>,
    errors: Vec<(usize, Finding)>,
    warnings: Vec<(usize, Finding)>,
    files: Vec<PathBuf>,
}

impl<'a> Check<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str, environment: Environment<'a>) -> Self {
        Self {
            file,
            text,
            environment,
            errors: Vec::new(),
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn misfit(&mut self, misfit: Misfit) {
        let at = At {
            key: misfit.key,
            span: misfit.span,
        };
        self.error(&at, misfit.message);
    }

    pub(super) fn error(&mut self, at: &At, message: impl Into<String>) {
        let finding = self.finding(at, message.into());
        self.errors.push((at.span.start, finding));
    }

    /// A key that is missing; unless it is because what stood there could not be read.
    fn missing(&mut self, at: &At, message: String) {
        if !self.errors.iter().any(|(_, error)| error.key == at.key) {
            self.error(at, message);
        }
    }

    pub(super) fn warn(&mut self, at: &At, message: impl Into<String>) {
        let finding = self.finding(at, message.into());
        self.warnings.push((at.span.start, finding));
    }

    /// The files that the configuration names, as far as they were looked at.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    /// Errors and warnings, each in the file's order.
    pub(super) fn finish(self) -> (Vec<Finding>, Vec<Finding>) {
        (in_order(self.errors), in_order(self.warnings))
    }

    /// `path` as the file means it: relative to the file's own folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The readable file that `name` stands for.
    pub(super) fn file(&mut self, at: &At, name: &str) -> Option<PathBuf> {
        let path = self.resolve(name);
        self.files.push(path.clone());
        match open(&path) {
            Ok(()) => Some(path),
            Err(error) => {
                self.error(at, unreadable(&path, &error));
                None
            }
        }
    }

    /// The same for a file that nobody else should read.
    pub(super) fn private_file(&mut self, at: &At, name: &str) -> Option<PathBuf> {
        let path = self.file(at, name)?;
        let mode = fs::metadata(&path).map_or(0, |meta| meta.permissions().mode());
        if mode & 0o004 != 0 {
            let shown = path.display();
            self.warn(
                at,
                format!("{shown}: everybody can read it: chmod 600 {shown}"),
            );
        }
        Some(path)
    }

    fn finding(&self, at: &At, message: String) -> Finding {
        let before = self.text.get(..at.span.start).unwrap_or_default();
        Finding {
            file: self.file.to_owned(),
            line: Some(before.matches('\n').count() + 1),
            key: at.key.clone(),
            message,
        }
    }
}

fn in_order(mut findings: Vec<(usize, Finding)>) -> Vec<Finding> {
    findings.sort_by_key(|(start, _)| *start);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn open(path: &Path) -> io::Result<()> {
    let kind = File::open(path)?.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

/// What to say of a file that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), why(error))
}

/// Why a file cannot be read, in plain words.
pub(super) fn why(error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file",
        io::ErrorKind::PermissionDenied => "this user may not read it",
        io::ErrorKind::IsADirectory => "is a folder, not a file",
        io::ErrorKind::InvalidData => "is not UTF-8 text",
        _ => return error.to_string(),
    };
    why.to_owned()
}

/// One table of the file, while its keys are read.
pub(super) struct Section<'c, 'a> {
    pub(super) check: &'c mut Check<'a>,
    at: At,
}

impl<'c, 'a> Section<'c, 'a> {
    /// The table called `name`, which begins at `span`.
    pub(super) fn new(
        check: &'c mut Check<'a>,
        name: impl Into<String>,
        span: Range<usize>,
    ) -> Self {
        let at = At {
            key: name.into(),
            span,
        };
        Self { check, at }
    }

    /// The place of the table itself.
    pub(super) fn own(&self) -> At {
        self.at.clone()
    }

    /// The place of one of its keys; of the table, where the key is missing.
    pub(super) fn at<T>(&self, key: &str, value: &Field<T>) -> At {
        let span = value.as_ref().map_or(self.at.span.clone(), Spanned::span);
        let key = match self.at.key.as_str() {
            "" => key.to_owned(),
            section => format!("{section}.{key}"),
        };
        At { key, span }
    }

    /// What `parse` makes of the key; `None` if it is absent, or wrong, which is then on record.
    pub(super) fn optional<R: Borrow<B>, B: ?Sized, T>(
        &mut self,
        key: &str,
        value: &Field<R>,
        parse: impl FnOnce(&B) -> Parsed<T>,
    ) -> Option<T> {
        let at = self.at(key, value);
        let parsed = parse(value.as_ref()?.get_ref().borrow());
        self.keep(&at, parsed)
    }

    /// The same for a key that must be there, `like` so.
    pub(super) fn required<R: Borrow<B>, B: ?Sized, T>(
        &mut self,
        key: &str,
        value: &Field<R>,
        like: &str,
        parse: impl FnOnce(&B) -> Parsed<T>,
    ) -> Option<T> {
        if value.is_none() {
            let at = self.at(key, value);
            self.check
                .missing(&at, format!("is missing: write {key} = {like}"));
        }
        self.optional(key, value, parse)
    }

    /// The items of a list that `parse` can read; `None` if the list is absent.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        value: &Field<List>,
        mut parse: impl FnMut(&str) -> Parsed<T>,
    ) -> Option<Vec<(At, T)>> {
        let items = value.as_ref()?.get_ref();
        let mut kept = Vec::new();
        for item in items {
            let at = At {
                span: item.span(),
                ..self.at(key, value)
            };
            let parsed = parse(item.get_ref());
            if let Some(parsed) = self.keep(&at, parsed) {
                kept.push((at, parsed));
            }
        }
        Some(kept)
    }

    fn keep<T>(&mut self, at: &At, parsed: Parsed<T>) -> Option<T> {
        parsed.map_err(|message| self.check.error(at, message)).ok()
    }
}
