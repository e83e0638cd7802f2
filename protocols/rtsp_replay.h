#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/base/attributes.h"
#include "server/base/auth.h"

/*
 * Recordings as what an RTSP session plays (RFC 2326; ONVIF Streaming Specification, "Replay"; docs/RTSP.md):
 *
 *	recordings/<camera>                 all that there is
 *	recordings/<camera>/<from>--[<to>]  what is between two instants (storage/clip_name.h)
 */
struct rtsp_source;
struct tree;

#define RTSP_REPLAY_PREFIX "recordings/"

/*
 * The name of what a URL with that decoded path (without the first '/') and query asks for: "?from=…&to=…" is another way of
 * writing a range. Returns 0, -EBADMSG or -ENAMETOOLONG.
 */
int rtsp_replay_name(char *ret, size_t size, const char *path, const char *query) MUST_CHECK;
/* NULL: there is no such name. */
struct rtsp_source *rtsp_replay_new(
	struct tree *tree, const char *name, const struct auth_user *user);
