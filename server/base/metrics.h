#pragma once

#include <stdint.h>

#include "server/base/attributes.h"

struct evbuffer;

/*
 * The registry behind /metrics (Prometheus text format 0.0.4). One row per family; a series is made
 * on first use and kept by its owner. Values are atomics: any thread may add.
 *
 * id, type, name, label names (comma-separated or ""), help
 */
// clang-format off: a row that is added must not move the others
#define METRICS(X)                                                                                   \
	X(METRIC_BUILD_INFO, GAUGE, "nvrd_build_info", "version",                                    \
		"Always 1; the version is a label.")                                                 \
	X(METRIC_REACTOR_LAG, HISTOGRAM, "nvrd_reactor_lag_seconds", "",                             \
		"How late the event loop ran a timer.")                                              \
	X(METRIC_REACTOR_LAG_MAX, GAUGE, "nvrd_reactor_lag_max_seconds", "",                         \
		"The worst lag in the last minute.")                                                 \
	X(METRIC_CLOCK_SET, GAUGE, "nvrd_clock_set", "",                                             \
		"1 when the machine's clock has been set since it was switched on (by NTP or so).")  \
	X(METRIC_WORKER_JOBS, GAUGE, "nvrd_worker_queue_jobs", "worker",                             \
		"Jobs waiting for or running on a worker thread.")                                   \
	X(METRIC_WORKER_BYTES, GAUGE, "nvrd_worker_queue_bytes", "worker",                           \
		"Bytes held by the jobs of a worker thread.")                                        \
	X(METRIC_WORKER_LIMIT_BYTES, GAUGE, "nvrd_worker_queue_limit_bytes", "worker",               \
		"Bytes that a worker's jobs may hold.")                                              \
	X(METRIC_WORKER_REFUSED, COUNTER, "nvrd_worker_refused_total", "worker",                     \
		"Jobs refused because the queue was full.")                                          \
	X(METRIC_CONFIG_RELOADS, COUNTER, "nvrd_config_reloads_total", "result",                     \
		"Reloads of the configuration, by result (applied, refused).")                       \
	X(METRIC_TLS_CERTIFICATE_EXPIRY, GAUGE, "nvrd_tls_certificate_expiry_timestamp_seconds",     \
		"", "Until when the certificate that is shown is valid.")                            \
	X(METRIC_CAMERA_UP, GAUGE, "nvrd_camera_up", "camera",                                       \
		"1 while media arrives from the camera.")                                            \
	X(METRIC_CAMERA_BYTES, COUNTER, "nvrd_camera_received_bytes_total", "camera",                \
		"Media bytes received from the camera.")                                             \
	X(METRIC_CAMERA_FRAMES, COUNTER, "nvrd_camera_frames_total", "camera,kind",                  \
		"Access units received, by kind (video, audio).")                                    \
	X(METRIC_CAMERA_STATE, GAUGE, "nvrd_camera_state", "camera,state",                           \
		"1 for the state that the camera is in: off, connecting, waiting (for who "          \
		"publishes), playing, degraded, down.")                                              \
	X(METRIC_CAMERA_LOST_PACKETS, COUNTER, "nvrd_rtp_packets_lost_total", "camera",              \
		"RTP packets that never arrived.")                                                   \
	X(METRIC_CAMERA_DROPPED_FRAMES, COUNTER, "nvrd_camera_dropped_frames_total", "camera",       \
		"Access units dropped because they or their reference were damaged.")                \
	X(METRIC_CAMERA_CONNECTS, COUNTER, "nvrd_camera_connects_total", "camera",                   \
		"Connections made to the camera, the first included.")                               \
	X(METRIC_CAMERA_FAILURES, COUNTER, "nvrd_camera_failures_total", "camera,reason",            \
		"Why pulling the camera failed or ended.")                                           \
	X(METRIC_STREAM_CACHE_BYTES, GAUGE, "nvrd_stream_cache_bytes", "stream",                     \
		"Bytes of the current group of pictures kept in memory.")                            \
	X(METRIC_STREAM_CACHE_OVERFLOWS, COUNTER, "nvrd_stream_cache_overflows_total", "stream",     \
		"Groups of pictures too large to keep.")                                             \
	X(METRIC_PICTURES_DECODED, COUNTER, "nvrd_pictures_decoded_total", "result",                 \
		"Keyframes decoded because somebody asked for a picture: made, failed.")             \
	X(METRIC_PICTURES_KEPT, GAUGE, "nvrd_pictures_kept_bytes", "",                               \
		"Bytes of pictures that are kept for who asks next.")                                \
	X(METRIC_SOUND_ENCODERS, GAUGE, "nvrd_sound_encoders", "codec",                              \
		"Encoders that make sound of another codec now: for `audio: aac` always, else "      \
		"while somebody listens (aac, opus).")                                               \
	X(METRIC_SOUND_DROPPED, COUNTER, "nvrd_sound_dropped_packets_total", "stream",               \
		"Packets of sound that could not be decoded or came too fast, so that who listens "  \
		"misses them.")                                                                      \
	X(METRIC_SOUND_HELD_BYTES, GAUGE, "nvrd_sound_held_bytes", "stream",                         \
		"Bytes of pictures that wait until the sound that belongs to them is made.")         \
	X(METRIC_RECORDER_FRAGMENTS, COUNTER, "nvrd_recorder_fragments_total", "camera",             \
		"Fragments written to disk.")                                                        \
	X(METRIC_TALK_PACKETS, COUNTER, "nvrd_talk_packets_total", "camera,result",                  \
		"Packets that RTSP clients sent for the camera to say: sent to it, or dropped "      \
		"(malformed, busy, too_much, behind, away).")                                        \
	X(METRIC_RECORDER_BYTES, COUNTER, "nvrd_recorder_written_bytes_total", "camera",             \
		"Bytes written to recordings.")                                                      \
	X(METRIC_RECORDER_SEGMENTS, COUNTER, "nvrd_recorder_segments_total", "camera",               \
		"Recording files closed.")                                                           \
	X(METRIC_EVENTS, COUNTER, "nvrd_events_total", "camera,kind", "Events at a camera.")         \
	X(METRIC_EVENTS_REFUSED, COUNTER, "nvrd_events_refused_total", "camera",                     \
		"Documents with events from a camera that are no XML.")                              \
	X(METRIC_ONVIF_SUBSCRIPTIONS, GAUGE, "nvrd_onvif_subscriptions", "",                         \
		"Subscriptions to events by ONVIF.")                                                 \
	X(METRIC_ONVIF_EVENTS_DROPPED, COUNTER, "nvrd_onvif_events_dropped_total", "",               \
		"Events that nobody pulled before there were too many.")                             \
	X(METRIC_CAMERA_EVENTS_UP, GAUGE, "nvrd_camera_events_up", "camera",                         \
		"1 while the camera tells of its events by ONVIF.")                                  \
	X(METRIC_CAMERA_EVENTS_FAILURES, COUNTER, "nvrd_camera_events_failures_total",               \
		"camera,reason", "Why hearing of the camera's events by ONVIF failed or ended.")     \
	X(METRIC_CAMERA_PTZ_DROPPED, COUNTER, "nvrd_camera_ptz_dropped_total", "camera",             \
		"Commands to move the camera or to set its picture that were replaced by newer "     \
		"ones, or refused because too many waited.")                                         \
	X(METRIC_DISCOVERY_DEVICES, GAUGE, "nvrd_discovery_devices", "",                             \
		"ONVIF devices that were found (onvif.discover).")                                   \
	X(METRIC_DISCOVERY_REFUSED, COUNTER, "nvrd_discovery_refused_total", "",                     \
		"Datagrams to the group of WS-Discovery that are none of its messages.")             \
	X(METRIC_DISCOVERY_ANSWERS, COUNTER, "nvrd_discovery_answers_total", "",                     \
		"Answers to whoever looked for us by WS-Discovery (onvif.discoverable).")            \
	X(METRIC_DISCOVERY_UNANSWERED, COUNTER, "nvrd_discovery_unanswered_total", "reason",         \
		"Those that got none: too many wait (full), asked from another network (foreign).")  \
	X(METRIC_RECORDER_LOST, COUNTER, "nvrd_recorder_lost_fragments_total", "camera,reason",      \
		"Fragments that were not recorded (queue_full, write_failed) or not held (held).")   \
	X(METRIC_RECORDER_QUEUE_BYTES, GAUGE, "nvrd_recorder_queue_bytes", "camera",                 \
		"Bytes that wait for the disk, or are held for an event.")                           \
	X(METRIC_RECORDER_QUEUE_LIMIT, GAUGE, "nvrd_recorder_queue_limit_bytes", "",                 \
		"Bytes that may wait for the disk, of all cameras together.")                        \
	X(METRIC_RECORDER_MISSING, COUNTER, "nvrd_recorder_missing_seconds_total", "camera,cause",   \
		"Seconds that should have been recorded and were not, by cause.")                    \
	X(METRIC_RECORDER_GAP, GAUGE, "nvrd_recorder_gap_seconds", "camera",                         \
		"How long nothing has been recorded that should be; 0 when all is well.")            \
	X(METRIC_TIMELAPSE_PICTURES, COUNTER, "nvrd_timelapse_pictures_total", "camera,result",      \
		"Pictures for the time-lapse: written, late (the disk was behind), failed.")         \
	X(METRIC_REDATED, COUNTER, "nvrd_recordings_redated_total", "",                              \
		"Recordings of before the clock was set that were confirmed or given another time.") \
	X(METRIC_UPLOADS, COUNTER, "nvrd_uploads_total", "camera,result",                            \
		"Uploads that became recordings (converted), were recordings already (known), stay " \
		"files (kept), or are to be tried again (failed).")                                  \
	X(METRIC_UPLOADS_WAITING, GAUGE, "nvrd_uploads_waiting", "",                                 \
		"Uploads that wait for their turn.")                                                 \
	X(METRIC_UPLOADS_FILES, GAUGE, "nvrd_uploads_files", "",                                     \
		"Files in the folders of uploads.")                                                  \
	X(METRIC_VOLUME_ERRORS, COUNTER, "nvrd_volume_errors_total", "operation",                    \
		"Failed disk operations (open, write, sync, read, close, remove).")                  \
	X(METRIC_VOLUME_SYNC, HISTOGRAM, "nvrd_volume_sync_seconds", "",                             \
		"How long it took to sync a file to the disk while it was written.")                 \
	X(METRIC_VOLUME_STATE, GAUGE, "nvrd_volume_state", "volume,state",                           \
		"1 for the state of a volume: ready, failing (it refuses writes), gone.")            \
	X(METRIC_VOLUME_FREE, GAUGE, "nvrd_volume_free_bytes", "volume",                             \
		"Free space on a volume's file system.")                                             \
	X(METRIC_TREE_RESTING, GAUGE, "nvrd_tree_resting_files", "",                                 \
		"Recordings that stay open for a moment after they were read.")                      \
	X(METRIC_VOLUME_BYTES, GAUGE, "nvrd_volume_recorded_bytes", "volume",                        \
		"Bytes of the recordings and time-lapses on a volume.")                              \
	X(METRIC_VOLUME_MOVED, COUNTER, "nvrd_volume_moved_files_total", "volume",                   \
		"Recordings that were moved to a volume.")                                           \
	X(METRIC_VOLUME_MOVED_BYTES, COUNTER, "nvrd_volume_moved_bytes_total", "volume",             \
		"Bytes of recordings that were moved to a volume.")                                  \
	X(METRIC_VOLUME_MOVE_ERRORS, COUNTER, "nvrd_volume_move_errors_total", "volume",             \
		"Recordings that could not be moved to a volume, for now.")                          \
	X(METRIC_CATALOGUE_SEGMENTS, GAUGE, "nvrd_catalogue_segments", "",                           \
		"Recordings known to the catalogue.")                                                \
	X(METRIC_CATALOGUE_OPEN, GAUGE, "nvrd_catalogue_open", "",                                   \
		"1 while the catalogue's database is open.")                                         \
	X(METRIC_CATALOGUE_WAITING, GAUGE, "nvrd_catalogue_waiting_changes", "",                     \
		"Changes that the catalogue's database has not taken yet.")                          \
	X(METRIC_CATALOGUE_ERRORS, COUNTER, "nvrd_catalogue_errors_total", "kind",                   \
		"Failed operations of the database (failed), changes left out (dropped), a damaged " \
		"database set aside (damaged).")                                                     \
	X(METRIC_RECORDED_BYTES, GAUGE, "nvrd_camera_recorded_bytes", "camera",                      \
		"Bytes of the camera's recordings on disk.")                                         \
	X(METRIC_OLDEST_RECORDING, GAUGE, "nvrd_camera_oldest_recording_timestamp_seconds",          \
		"camera", "When the camera's oldest recording starts.")                              \
	X(METRIC_NEWEST_RECORDING, GAUGE, "nvrd_camera_newest_recording_timestamp_seconds",          \
		"camera", "When the camera's newest recording ends.")                                \
	X(METRIC_RETENTION_DELETED, COUNTER, "nvrd_retention_deleted_total", "camera,reason",        \
		"Recordings deleted, by reason (keep, camera_max_size, max_size, reserve).")         \
	X(METRIC_RETENTION_BYTES, COUNTER, "nvrd_retention_deleted_bytes_total", "",                 \
		"Bytes of deleted recordings.")                                                      \
	X(METRIC_RETENTION_ERRORS, COUNTER, "nvrd_retention_errors_total", "",                       \
		"Recordings that could not be deleted.")                                             \
	X(METRIC_SESSIONS, GAUGE, "nvrd_sessions", "protocol",                                       \
		"Readers being served now (http, rtsp, hls, mp4, ftp).")                             \
	X(METRIC_HLS_WAITING, GAUGE, "nvrd_hls_waiting_requests", "",                                \
		"Requests that wait for a playlist or a part that is not there yet.")                \
	X(METRIC_CONNECTIONS, GAUGE, "nvrd_connections", "server",                                   \
		"Open connections of a listener (http, rtsp, ftp, ftp-data).")                       \
	X(METRIC_CONNECTIONS_CLOSED, COUNTER, "nvrd_connections_closed_total", "server,reason",      \
		"Connections closed, by reason.")                                                    \
	X(METRIC_HTTP2_STREAMS, GAUGE, "nvrd_http2_streams", "",                                     \
		"Requests of HTTP/2 that are under way.")                                            \
	X(METRIC_HTTP2_REFUSED, COUNTER, "nvrd_http2_refused_total", "reason",                       \
		"What HTTP/2 refused: a request (streams), or a connection (resets, flood, "         \
		"malformed).")                                                                       \
	X(METRIC_HTTP_REQUESTS, COUNTER, "nvrd_http_requests_total", "method,status",                \
		"HTTP requests answered.")                                                           \
	X(METRIC_RTSP_REQUESTS, COUNTER, "nvrd_rtsp_requests_total", "method,status",                \
		"RTSP requests answered.")                                                           \
	X(METRIC_FTP_COMMANDS, COUNTER, "nvrd_ftp_commands_total", "command,code",                   \
		"FTP commands answered.")                                                            \
	X(METRIC_FTP_TRANSFERS, COUNTER, "nvrd_ftp_transfers_total", "direction,result",             \
		"FTP transfers by direction (in, out, list) and result (done, cut, refused).")       \
	X(METRIC_FTP_RECEIVED, COUNTER, "nvrd_ftp_received_bytes_total", "",                         \
		"Bytes of files received by FTP.")                                                   \
	X(METRIC_FTP_REFUSED, COUNTER, "nvrd_ftp_refused_total", "reason",                           \
		"What FTP refused: a session (sessions, host, user), a data connection from or to "  \
		"another host (data, port).")                                                        \
	X(METRIC_REPLAY_AHEAD_BYTES, GAUGE, "nvrd_replay_ahead_bytes", "",                           \
		"Bytes of recordings read for RTSP replays and not sent yet.")                       \
	X(METRIC_SENT_BYTES, COUNTER, "nvrd_sent_bytes_total", "server", "Bytes sent to clients.")   \
	X(METRIC_READER_SKIPPED, COUNTER, "nvrd_reader_skipped_frames_total", "protocol",            \
		"Frames that slow readers skipped.")                                                 \
	X(METRIC_READER_QUEUE_BYTES, GAUGE, "nvrd_reader_queue_bytes", "protocol",                   \
		"Bytes that wait for readers, of whom many may wait for the same memory.")           \
	X(METRIC_READER_DROPPED, COUNTER, "nvrd_reader_dropped_datagrams_total", "protocol",         \
		"Datagrams to readers that the kernel did not take.")                                \
	X(METRIC_READERS_ENDED, COUNTER, "nvrd_readers_ended_total", "reason",                       \
		"RTSP readers whose stream ended: its tracks changed (changed), it did not come "    \
		"back in time (away), or is no longer configured (removed).")                        \
	X(METRIC_WEBRTC_ENDED, COUNTER, "nvrd_webrtc_sessions_ended_total", "reason",                \
		"WebRTC sessions that ended, by reason.")                                            \
	X(METRIC_WEBRTC_REFUSED, COUNTER, "nvrd_webrtc_refused_total", "reason",                     \
		"Offers refused, by reason (offer, codec, reordered, offline, limit).")              \
	X(METRIC_WEBRTC_REPEATED, COUNTER, "nvrd_webrtc_repeated_packets_total", "",                 \
		"Packets sent again to WebRTC clients that missed them.")                            \
	X(METRIC_WEBRTC_REPLAYED, COUNTER, "nvrd_webrtc_replayed_groups_total", "",                  \
		"Groups of pictures sent again to WebRTC clients that asked for a keyframe.")        \
	X(METRIC_WEBRTC_DROPPED, COUNTER, "nvrd_webrtc_dropped_datagrams_total", "kind",             \
		"Datagrams of WebRTC that were wrong or nobody's (stun, dtls, rtcp, other).")        \
	X(METRIC_AUTH_FAILURES, COUNTER, "nvrd_auth_failures_total", "server",                       \
		"Requests refused for wrong credentials.")                                           \
	X(METRIC_AUTH_LIMITED, COUNTER, "nvrd_auth_limited_total", "server",                         \
		"Requests refused for now: too many wrong credentials before, or too many at once.") \
	X(METRIC_LOGIN_SESSIONS, GAUGE, "nvrd_login_sessions", "",                                   \
		"Sessions of people who have logged in to the page.")                                \
	X(METRIC_LOGIN_SESSIONS_ENDED, COUNTER, "nvrd_login_sessions_ended_total", "reason",         \
		"Sessions that ended, by reason: logout, expired, changed (the user or the "         \
		"password), full (a new one took the place).")                                       \
	X(METRIC_LOG_MESSAGES, COUNTER, "nvrd_log_messages_total", "level", "Log lines written.")
// clang-format on

enum metric_id {
#define X(id, type, name, labels, help) id,
	METRICS(X)
#undef X
	METRIC_COUNT
};

struct metric; /* one series */

/*
 * The series of a family with these label values (as many const char * as the family has labels).
 * Never NULL; the same values give the same series. It lives until metrics_forget().
 */
struct metric *metric_get(enum metric_id id, ...);

void metric_add(struct metric *metric, double n);
void metric_set(struct metric *metric, double value);
/* Histograms only. */
void metric_observe(struct metric *metric, double value);
double metric_value(const struct metric *metric);

/* Drops every series of which the first label has this value in families whose first label is `label`. */
void metrics_forget(const char *label, const char *value);

/* Appends the whole registry as text. */
void metrics_write(struct evbuffer *out);
void metrics_fini(void);
