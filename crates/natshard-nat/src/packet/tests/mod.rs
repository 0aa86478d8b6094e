mod dissection;
mod properties;
mod rewriting;
mod verification;
