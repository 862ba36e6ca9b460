//! The quickstarts that users of Confluent's datagen know, with their fields and types.

use forebay_connect_api::{Schema, SchemaBuilder};
use std::sync::Arc;

use crate::{
    pattern::Pattern,
    template::{Content, Integers, Template},
};

/// A record and which of its fields is the key.
#[derive(Debug)]
pub(crate) struct Quickstart {
    pub(crate) template: Template,
    pub(crate) key_field: &'static str,
}

/// Makes one.
type Make = fn() -> Quickstart;

/// Every name, and what makes its record.
const ALL: [(&str, Make); 7] = [
    ("inventory", inventory),
    ("orders", orders),
    ("pageviews", pageviews),
    ("purchases", purchases),
    ("stock_trades", stock_trades),
    ("transactions", transactions),
    ("users", users),
];

/// The first and the last time of an order or a registration, in milliseconds.
const TIMES: (i64, i64) = (1_487_715_775_521, 1_519_273_364_600);

/// All names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The one of that name, in any case.
pub(crate) fn find(name: &str) -> Option<Quickstart> {
    let found = ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, make)| make())
}

fn inventory() -> Quickstart {
    Quickstart {
        key_field: "id",
        template: record(
            "ksql.inventory",
            vec![
                ("id", long(count_from(0, 1))),
                ("quantity", int(range(-100, 100))),
                ("productid", long(range(10_000_000_001, 10_000_000_016))),
            ],
        ),
    }
}

fn orders() -> Quickstart {
    let address = record(
        "ksql.address",
        vec![
            ("city", text("City_[1-9]{0,2}")),
            ("state", text("State_[1-9]{0,2}")),
            ("zipcode", long(range(10_000, 99_999))),
        ],
    );
    Quickstart {
        key_field: "orderid",
        template: record(
            "ksql.orders",
            vec![
                ("ordertime", long(range(TIMES.0, TIMES.1))),
                ("orderid", int(count_from(0, 1))),
                ("itemid", text("Item_[1-9][0-9]{0,2}")),
                ("orderunits", double(0.1, 10.0)),
                ("address", address),
            ],
        ),
    }
}

fn pageviews() -> Quickstart {
    Quickstart {
        key_field: "viewtime",
        template: record(
            "ksql.pageviews",
            vec![
                ("viewtime", long(count_from(1, 10))),
                ("userid", text("User_[1-9]")),
                ("pageid", text("Page_[1-9][0-9]?")),
            ],
        ),
    }
}

fn purchases() -> Quickstart {
    Quickstart {
        key_field: "id",
        template: record(
            "ksql.purchase",
            vec![
                ("id", long(count_from(0, 1))),
                ("quantity", long(range(1, 20))),
                ("productid", long(count_from(0, 1))),
                ("total", long(range(5, 500))),
            ],
        ),
    }
}

fn stock_trades() -> Quickstart {
    Quickstart {
        key_field: "symbol",
        template: record(
            "ksql.StockTrade",
            vec![
                ("side", one_of(&["BUY", "SELL", "SHORT"])),
                ("quantity", int(range(1, 5000))),
                (
                    "symbol",
                    one_of(&["ZBZX", "ZJZZT", "ZTEST", "ZVV", "ZVZZT", "ZWZZT", "ZXZZT"]),
                ),
                ("price", int(range(5, 1000))),
                ("account", one_of(&["ABC123", "LMN456", "XYZ789"])),
                ("userid", text("User_[1-9]")),
            ],
        ),
    }
}

fn transactions() -> Quickstart {
    Quickstart {
        key_field: "transaction_id",
        template: record(
            "datagen.example.transactions",
            vec![
                ("transaction_id", long(count_from(1, 1))),
                ("card_id", long(range(1, 24))),
                ("user_id", text("User_[1-9]")),
                ("purchase_id", long(count_from(0, 1))),
                ("store_id", int(range(1, 7))),
            ],
        ),
    }
}

fn users() -> Quickstart {
    Quickstart {
        key_field: "userid",
        template: record(
            "ksql.users",
            vec![
                ("registertime", long(range(TIMES.0, TIMES.1))),
                ("userid", text("User_[1-9]")),
                ("regionid", text("Region_[1-9]")),
                ("gender", one_of(&["MALE", "FEMALE", "OTHER"])),
            ],
        ),
    }
}

fn record(name: &str, fields: Vec<(&str, Template)>) -> Template {
    let schema = fields
        .iter()
        .fold(Schema::structure().name(name), |schema, (field, template)| {
            schema.field(*field, Arc::clone(&template.schema))
        });
    let parts = fields.into_iter().map(|(_, template)| template).collect();
    plain(schema, Content::Struct(parts))
}

fn plain(schema: SchemaBuilder, content: Content) -> Template {
    let schema = schema.build().expect("no field twice and no default");
    Template { schema, content }
}

fn long(integers: Integers) -> Template {
    plain(Schema::int64(), Content::Integer(integers))
}

fn int(integers: Integers) -> Template {
    plain(Schema::int32(), Content::Integer(integers))
}

fn double(min: f64, max: f64) -> Template {
    plain(Schema::float64(), Content::Fraction { min, max })
}

fn text(pattern: &str) -> Template {
    let pattern = Pattern::new(pattern).expect("a good pattern");
    plain(Schema::string(), Content::Text(pattern))
}

fn one_of(options: &[&str]) -> Template {
    let options = options.iter().map(|option| (*option).into()).collect();
    plain(Schema::string(), Content::Options(options))
}

const fn range(min: i64, max: i64) -> Integers {
    Integers::Range { min, max }
}

const fn count_from(start: i64, step: i64) -> Integers {
    Integers::Iteration {
        start,
        step,
        restart: None,
    }
}
