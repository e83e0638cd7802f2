#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parts of authenticate.c that its tests look at. */

/*
 * Whether credentials made for `uri` count for a request of `target`: the same text, or over RTSP
 * the same path, or one a folder of the other (some clients sign the base URL, or a path alone).
 */
bool authenticate_uri_matches(const char *uri, const char *target);

/* The nonce that a challenge at that instant of the monotonic clock held. */
void authenticate_write_nonce(char *ret, size_t size, int64_t at_us);
