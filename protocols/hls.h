#pragma once

struct http_request;
struct stream;

/*
 * Low-Latency HLS (RFC 8216bis) of a live stream with fragmented MP4, made of the fragments that
 * recordings consist of, from memory, on demand: a stream's playlist is kept while somebody asks for
 * it and half a minute longer. docs/LIVE.md says what is where.
 */

/* index.m3u8: the multivariant playlist of a stream and of its substream, when that comes up soon. */
void hls_get_index(struct http_request *request, struct stream *stream, const char *file);
/* media.m3u8, init-<n>.mp4, seg-<n>.m4s and part-<n>.m4s. What is to come next is waited for. */
void hls_get(struct http_request *request, struct stream *stream, const char *name);
/* Drops the playlist of a stream that is about to be freed. */
void hls_forget_stream(const struct stream *stream);
/* Drops all playlists, at the end of the process. */
void hls_fini(void);
