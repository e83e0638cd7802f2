#pragma once

struct http_request;
struct stream;

/*
 * HLS (RFC 8216) of a live stream with fragmented MP4: index.m3u8, init-<n>.mp4 and seg-<n>.m4s,
 * made of the fragments that recordings consist of, from memory, on demand: a playlist is kept
 * while somebody asks for it and half a minute longer.
 */
void hls_get(struct http_request *request, struct stream *stream, const char *file);
/* Drops the playlist of a stream that is about to be freed. */
void hls_forget_stream(const struct stream *stream);
/* Drops all playlists, at the end of the process. */
void hls_fini(void);
