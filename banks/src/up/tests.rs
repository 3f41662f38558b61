mod fixture;
mod listing;
mod status;
mod webhook;
