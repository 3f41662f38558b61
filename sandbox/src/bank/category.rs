//! The bank's tree of spending categories: fixed, two levels deep.

/// One category. Its children are those that name it as parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category {
    /// Readable and safe in a URL.
    pub id: &'static str,
    /// As people see it.
    pub name: &'static str,
    /// `None` at the top level; only a child can be put on a transaction.
    pub parent: Option<&'static str>,
}

const fn top(id: &'static str, name: &'static str) -> Category {
    Category { id, name, parent: None }
}

const fn under(parent: &'static str, id: &'static str, name: &'static str) -> Category {
    Category { id, name, parent: Some(parent) }
}

/// All categories, in the order the bank lists them.
pub const CATEGORIES: &[Category] = &[
    top("good-life", "Good Life"),
    under("good-life", "adult", "Adult"),
    under("good-life", "booze", "Booze"),
    under("good-life", "events-and-gigs", "Events & Gigs"),
    under("good-life", "games-and-software", "Apps, Games & Software"),
    under("good-life", "hobbies", "Hobbies"),
    under("good-life", "holidays-and-travel", "Holidays & Travel"),
    under("good-life", "lottery-and-gambling", "Lottery & Gambling"),
    under("good-life", "pubs-and-bars", "Pubs & Bars"),
    under("good-life", "restaurants-and-cafes", "Restaurants & Cafes"),
    under("good-life", "takeaway", "Takeaway"),
    under("good-life", "tobacco-and-vaping", "Tobacco & Vaping"),
    under("good-life", "tv-and-music", "TV, Music & Streaming"),
    top("home", "Home"),
    under("home", "groceries", "Groceries"),
    under("home", "home-insurance-and-rates", "Rates & Insurance"),
    under("home", "home-maintenance-and-improvements", "Maintenance & Improvements"),
    under("home", "homeware-and-appliances", "Homeware & Appliances"),
    under("home", "internet", "Internet"),
    under("home", "pets", "Pets"),
    under("home", "rent-and-mortgage", "Rent & Mortgage"),
    under("home", "utilities", "Utilities"),
    top("personal", "Personal"),
    under("personal", "clothing-and-accessories", "Clothing & Accessories"),
    under("personal", "education-and-student-loans", "Education & Student Loans"),
    under("personal", "family", "Children & Family"),
    under("personal", "fitness-and-wellbeing", "Fitness & Wellbeing"),
    under("personal", "gifts-and-charity", "Gifts & Charity"),
    under("personal", "hair-and-beauty", "Hair & Beauty"),
    under("personal", "health-and-medical", "Health & Medical"),
    under("personal", "investments", "Investments"),
    under("personal", "life-admin", "Life Admin"),
    under("personal", "mobile-phone", "Mobile Phone"),
    under("personal", "news-magazines-and-books", "News, Magazines & Books"),
    under("personal", "technology", "Technology"),
    top("transport", "Transport"),
    under("transport", "car-insurance-and-maintenance", "Car Insurance, Rego & Maintenance"),
    under("transport", "car-repayments", "Repayments"),
    under("transport", "cycling", "Cycling"),
    under("transport", "fuel", "Fuel"),
    under("transport", "parking", "Parking"),
    under("transport", "public-transport", "Public Transport"),
    under("transport", "taxis-and-share-cars", "Taxis & Share Cars"),
    under("transport", "toll-roads", "Tolls"),
];

/// The category with this id.
pub fn find(id: &str) -> Option<&'static Category> {
    CATEGORIES.iter().find(|category| category.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parent_exists_and_is_at_the_top() {
        for category in CATEGORIES {
            let parent = category.parent.map(|id| find(id).expect(id));
            assert!(parent.is_none_or(|parent| parent.parent.is_none()), "{}", category.id);
        }
    }
}
