#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Scopes of WS-Discovery: lists of URIs with blanks between them. Pure. */

/* How those of a Probe are compared (WS-Discovery section 5.1; ONVIF Core Specification, "Probe and Probe Match"). */
enum discovery_rule {
	DISCOVERY_RULE_PREFIX, /* RFC 2396, RFC 3986: scheme and authority, then whole segments of the path */
	DISCOVERY_RULE_EXACT,
	DISCOVERY_RULE_UNKNOWN /* nothing matches */
};
/* By its URI; "": the usual one. */
enum discovery_rule discovery_rule_find(const char *uri);

/* Whether each of `asked` is matched by one of ours. */
bool discovery_scopes_match(enum discovery_rule rule, const char *asked, const char *ours);

/* The next word, or NULL; *n is its length. *at moves on. */
const char *discovery_next_word(const char **at, size_t *n);
