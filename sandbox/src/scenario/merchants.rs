//! Who takes and gives money on a generated day. All names are made up.

use crate::bank::CardMethod;

/// A place to spend money.
#[derive(Debug)]
pub(super) struct Merchant {
    pub name: &'static str,
    pub raw_text: &'static str,
    pub category: &'static str,
    pub card: CardMethod,
    /// Smallest and largest purchase.
    pub cents: (i64, i64),
}

const fn merchant(
    name: &'static str,
    raw_text: &'static str,
    category: &'static str,
    card: CardMethod,
    cents: (i64, i64),
) -> Merchant {
    Merchant { name, raw_text, category, card, cents }
}

pub(super) const MERCHANTS: &[Merchant] = &[
    merchant(
        "Corner Espresso",
        "CORNER ESPRESSO, CARLTON",
        "restaurants-and-cafes",
        CardMethod::Contactless,
        (380, 1_950),
    ),
    merchant(
        "Greengrocer Lim",
        "LIM FRUIT VEG, FITZROY",
        "groceries",
        CardMethod::Contactless,
        (900, 9_500),
    ),
    merchant(
        "Night Tram",
        "NIGHT TRAM TOPUP",
        "public-transport",
        CardMethod::CardOnFile,
        (500, 5_000),
    ),
    merchant(
        "Harbour Cinema",
        "HARBOUR CINEMA 3",
        "events-and-gigs",
        CardMethod::CardPin,
        (1_400, 4_600),
    ),
    merchant(
        "Paper Lantern Noodles",
        "PAPER LANTERN, BRUNSWICK",
        "takeaway",
        CardMethod::Contactless,
        (1_150, 5_400),
    ),
    merchant("Streamwell", "STREAMWELL 0099", "tv-and-music", CardMethod::CardOnFile, (999, 2_299)),
    merchant(
        "Silverleaf Hotel",
        "SILVERLEAF HOTEL DEP",
        "holidays-and-travel",
        CardMethod::CardPin,
        (12_000, 38_000),
    ),
    merchant(
        "Secondhand Volumes",
        "SECONDHAND VOLUMES",
        "news-magazines-and-books",
        CardMethod::Ecommerce,
        (600, 8_800),
    ),
    merchant("Fuel & Go", "FUEL AND GO 114", "fuel", CardMethod::CardPin, (3_000, 11_000)),
    merchant(
        "Tidepool Swim School",
        "TIDEPOOL SWIM",
        "fitness-and-wellbeing",
        CardMethod::Ecommerce,
        (1_800, 6_000),
    ),
];

/// Currencies and how many of their base units a hundred cents buy.
pub(super) const CURRENCIES: &[(&str, i64)] =
    &[("USD", 66), ("EUR", 61), ("NZD", 109), ("IDR", 1_012_500), ("JPY", 9_700)];

/// Small payments from friends, with what they write.
pub(super) const GIVERS: &[(&str, &str)] = &[
    ("Aiko", "for the coffee machine"),
    ("Bram", "pizza last night"),
    ("Chiara", "one game of pinball"),
    ("Dov", "thanks for the ride!"),
    ("Efua", "jukebox: play something slow"),
    ("Finn", "my half of the gift"),
];
