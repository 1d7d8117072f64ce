// Package ledger keeps what must outlive a machine in a bucket: a lease, which one
// process holds at a time, and a log of segments, which only its holder can make
// longer. It promises:
//
//   - What Log.Keep has answered is there for whoever takes the log next, in order and
//     whole, whichever process or machine ends.
//   - Of two processes that believe to hold a lease one finds out before it adds a
//     segment. Segments are created, never replaced, under dense numbers, and a new
//     holder begins with one of its own: an older one cannot add another.
//   - A process whose lease may have been taken is told so by Lease.Hold before its next
//     step. No two clocks are compared: a holder counts from when it last sent a
//     renewal, and whoever waits for its end from when it last saw one.
//
// All of it stands on conditional writes, so that a store which does not honour them is
// refused (Place.Prove). README.md has the layout, what it costs, and what every crash
// leaves.
package ledger
