//! An expression in RE2's dialect is put into the library's: judged and rewritten as it was parsed, before anything of it is translated, as
//! what its translation costs is not bounded by what becomes of it: folding the case of one class visits every letter there is.

use std::ops::Range;

use regex_syntax::ast::{self, Ast, ClassSetItem, Flag, FlagsItemKind, Span, Visitor};
use regex_syntax::hir::{Class, HirKind};

/// What an expression is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Names in ASCII.
    Ascii,
    /// Texts of any alphabet.
    Unicode,
}

/// How many classes an expression may take from Unicode's tables.
pub(crate) const TABLES_MAX: usize = 64;
/// How many classes may have most letters there are, where upper and lower case are the same.
pub(crate) const WIDE_MAX: usize = 8;
/// A range of as many letters is cheap to fold.
const NARROW: u32 = 256;
/// Matches nothing.
const NOTHING: &str = "[a&&b]";

/// The expression as the library is to read it, which is by bytes for ASCII.
pub(super) fn translate(text: &str, ast: &Ast, names: Names) -> Result<String, String> {
    let mut walk = Walk {
        text,
        names,
        edits: Vec::new(),
        ignores_case: false,
        tables: 0,
        wide: 0,
    };
    walk.edits_of(ast)?;
    let mut translated = String::with_capacity(text.len());
    let mut rest = 0;
    for (range, new) in &walk.edits {
        translated.push_str(&text[rest..range.start]);
        translated.push_str(new);
        rest = range.end;
    }
    translated.push_str(&text[rest..]);
    Ok(translated)
}

struct Walk<'a> {
    text: &'a str,
    names: Names,
    /// What is to stand in the text's place; none overlaps another.
    edits: Vec<(Range<usize>, String)>,
    ignores_case: bool,
    tables: usize,
    wide: usize,
}

impl Walk<'_> {
    fn edits_of(&mut self, ast: &Ast) -> Result<(), String> {
        ast::visit(ast, &mut *self)?;
        if self.ignores_case && self.wide > WIDE_MAX {
            return Err("too many classes whose case is ignored".to_owned());
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        Ok(())
    }

    fn edit(&mut self, span: &Span, new: impl Into<String>) {
        self.edits.push((span.start.offset..span.end.offset, new.into()));
    }

    /// RE2 has fewer flags.
    fn flags(&mut self, flags: &ast::Flags) -> Result<(), String> {
        for item in &flags.items {
            match item.kind {
                FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                    return Err("invalid or unsupported Perl syntax".to_owned());
                }
                FlagsItemKind::Flag(Flag::CaseInsensitive) => self.ignores_case = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn literal(&mut self, literal: &ast::Literal) {
        if self.names == Names::Ascii && !literal.c.is_ascii() {
            self.edit(&literal.span, NOTHING);
        }
    }

    fn range(&mut self, range: &ast::ClassSetRange) {
        let (start, end) = (range.start.c, range.end.c);
        if u32::from(end).saturating_sub(start.into()) > NARROW {
            self.wide += 1;
        }
        if self.names == Names::Ascii && !end.is_ascii() {
            let new = if start.is_ascii() {
                format!(r"\x{:02X}-\x7F", u32::from(start))
            } else {
                NOTHING.to_owned()
            };
            self.edit(&range.span, new);
        }
    }

    /// RE2's are of ASCII; where bytes are read, so are the library's.
    fn perl(&mut self, class: &ast::ClassPerl) {
        self.wide += usize::from(class.negated);
        if self.names == Names::Ascii {
            return;
        }
        let letters = match class.kind {
            ast::ClassPerlKind::Digit => "0-9",
            ast::ClassPerlKind::Space => r"\t\n\x0C\r ",
            ast::ClassPerlKind::Word => "0-9A-Za-z_",
        };
        let not = if class.negated { "^" } else { "" };
        self.edit(&class.span, format!("[{not}{letters}]"));
    }

    fn unicode(&mut self, class: &ast::ClassUnicode) -> Result<(), String> {
        self.wide += 1;
        self.tables += 1;
        if self.tables > TABLES_MAX {
            return Err("too many classes of Unicode".to_owned());
        }
        if self.names == Names::Ascii {
            let text = &self.text[class.span.start.offset..class.span.end.offset];
            let ascii = ascii_of(text)?;
            self.edit(&class.span, ascii);
        }
        Ok(())
    }
}

/// What a class has of ASCII.
fn ascii_of(class: &str) -> Result<String, String> {
    let class = regex_syntax::parse(class).map_err(|error| super::in_one_line(&error))?;
    let letters: String = match class.kind() {
        HirKind::Class(Class::Unicode(class)) => class
            .ranges()
            .iter()
            .filter(|range| range.start().is_ascii())
            .map(|range| (u32::from(range.start()), u32::from(range.end()).min(0x7F)))
            .map(|(start, end)| format!(r"\x{start:02X}-\x{end:02X}"))
            .collect(),
        // A class of one letter.
        HirKind::Literal(letter) => letter
            .0
            .iter()
            .filter(|_| letter.0.is_ascii())
            .map(|byte| format!(r"\x{byte:02X}"))
            .collect(),
        _ => String::new(),
    };
    Ok(if letters.is_empty() {
        NOTHING.to_owned()
    } else {
        format!("[{letters}]")
    })
}

impl Visitor for &mut Walk<'_> {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Flags(set) => self.flags(&set.flags)?,
            Ast::Group(group) => {
                if let Some(flags) = group.flags() {
                    self.flags(flags)?;
                }
            }
            Ast::Literal(literal) => self.literal(literal),
            Ast::ClassPerl(class) => self.perl(class),
            Ast::ClassUnicode(class) => self.unicode(class)?,
            Ast::Assertion(assertion) if self.names == Names::Unicode => match assertion.kind {
                ast::AssertionKind::WordBoundary => self.edit(&assertion.span, r"(?-u:\b)"),
                ast::AssertionKind::NotWordBoundary => self.edit(&assertion.span, r"(?-u:\B)"),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Literal(literal) => self.literal(literal),
            ClassSetItem::Range(range) => self.range(range),
            ClassSetItem::Ascii(class) => self.wide += usize::from(class.negated),
            ClassSetItem::Unicode(class) => self.unicode(class)?,
            ClassSetItem::Perl(class) => self.perl(class),
            // Folded by itself, and again with the one that it stands in.
            ClassSetItem::Bracketed(_) => self.wide += 1,
            ClassSetItem::Empty(_) | ClassSetItem::Union(_) => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        // Either side is folded by itself.
        self.wide += 1;
        Ok(())
    }
}
