//! What figures were to be, and whether they are.

/// A figure that was asked for.
pub(crate) struct Goal {
    pub(crate) text: String,
    /// What it is; none if one of its figures was not measured.
    pub(crate) is: Option<f64>,
    pub(crate) wanted: Wanted,
    /// What is said where it is missed.
    pub(crate) note: String,
}

/// Its bound.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints each goal with met, missed or not measured.
pub(crate) fn print(goals: impl IntoIterator<Item = Goal>) {
    println!("\n| goal | wanted | is | |\n| --- | ---: | ---: | --- |");
    for goal in goals {
        let (wanted, met) = match goal.wanted {
            Wanted::AtLeast(bound) => (format!(">= {bound}"), goal.is.map(|is| is >= bound)),
            Wanted::AtMost(bound) => (format!("<= {bound:.2}"), goal.is.map(|is| is <= bound)),
        };
        let is = goal.is.map_or(String::new(), |is| format!("{is:.2}"));
        let outcome = match met {
            Some(true) => "met".to_owned(),
            Some(false) => format!("missed{}", goal.note),
            None => "not measured".to_owned(),
        };
        println!("| {} | {wanted} | {is} | {outcome} |", goal.text);
    }
}

/// A goal without a note.
pub(crate) fn goal(text: impl Into<String>, is: Option<f64>, wanted: Wanted) -> Goal {
    Goal {
        text: text.into(),
        is,
        wanted,
        note: String::new(),
    }
}
