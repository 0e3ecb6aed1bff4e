/* SPDX-License-Identifier: MIT */
/*
 * What is spoken on a guest's control socket: lines of JSON, one object each.
 *
 *   request   {"op": "migrate", "to": 1, ...}
 *   reply     any number of  {"progress": {"done": 12, "total": 40}}
 *             then one       {"ok": true, "result": {...}}
 *             or             {"ok": false, "error": "sentence", "errno": 22}
 *
 * A connection may ask again after a reply. The server answers what it does
 * not understand with an error, and closes a connection that sends too long a
 * line, stops in the middle of one, or does not take its replies. Closing the
 * connection stops a migration that it asked for; so does closing only its
 * sending half, and then the reply tells what was done.
 *
 * Addresses and page-table entries are strings in hexadecimal ("0x7f00..."), as
 * JSON's numbers are not good for 64 bits everywhere; all else is numbers: bytes
 * in *_bytes, nanoseconds in ns_*, frames and pages otherwise.
 */
#ifndef VMM_CTL_PROTO_H
#define VMM_CTL_PROTO_H

/* Longest request (a list of pages), and longest reply (a process may have 65,530 areas). */
#define CTL_MAX_REQUEST (8u << 20)
#define CTL_MAX_REPLY   (64u << 20)

/* Connections served at a time; one more is told so and closed. */
#define CTL_MAX_CONNECTIONS 16

/* A request must be complete so long after its first byte; ... */
#define CTL_REQUEST_SECONDS 5
/* ... a connection may be idle so long between requests; ... */
#define CTL_IDLE_SECONDS 60
/* ... and must take a reply within so long. */
#define CTL_REPLY_SECONDS 10

#endif
