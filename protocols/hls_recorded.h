#pragma once

struct http_request;
struct tree;

/*
 * GET and HEAD below /recordings/: what is named *.m3u8 is a playlist (RFC 8216) of recordings, by byte ranges in them; all
 * else is http_files'. One tree for the process, set before the first request.
 *
 *	/recordings/<camera>/<date>/index.m3u8      the recordings in that folder
 *	/recordings/<camera>/<from>--<to>.m3u8      a range, storage/clip_name.h
 *	  ?gaps=close                               without gaps
 *
 * They name two more: the media (?media) and for scrubbing the keyframes alone (?iframes).
 */
void hls_recorded_set_tree(struct tree *tree);
void hls_recorded_get(struct http_request *request);
