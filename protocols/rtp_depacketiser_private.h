#pragma once

#include "protocols/rtp_depacketiser.h"
#include "server/media/aac.h"

/* What the payload formats share: the unit being collected, and for video its NAL units. */

/* What a NAL unit is to the collector; 0: not wanted. */
enum rtp_nal_kind {
	RTP_NAL_SLICE = 1 << 0,
	RTP_NAL_FIRST = 1 << 1,   /* the first slice of its picture */
	RTP_NAL_KEY = 1 << 2,     /* decoding may start here */
	RTP_NAL_LEADING = 1 << 3, /* needs pictures before the keyframe that it follows (RASL) */
	RTP_NAL_SET = 1 << 4,     /* a parameter set */
	RTP_NAL_EXTRA = 1 << 5,   /* kept with the picture: SEI */
	RTP_NAL_BEGINS = 1 << 6,  /* cannot stand behind a slice of the same picture */
};

/* One payload format. */
struct rtp_payload {
	const char *encoding;
	/* Reads the fmtp. Returns 0, or -EINVAL and a static *why. */
	int (*start)(struct rtp_depacketiser *d, const struct rtp_format *format, const char **why);
	void (*push)(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap);
	/* The rest is for video. A bit set of rtp_nal_kind; the NAL unit may be cut after 16 bytes. */
	unsigned (*nal_kind)(const uint8_t *nal, size_t n);
	/* As h264_sets_add(). */
	int (*take_set)(struct rtp_depacketiser *d, const uint8_t *nal, size_t n);
	bool (*sets_complete)(const struct rtp_depacketiser *d);
};
extern const struct rtp_payload rtp_payload_h264, rtp_payload_h265, rtp_payload_aac;
extern const struct rtp_payload rtp_payload_jpeg;
extern const struct rtp_payload rtp_payload_latm, rtp_payload_metadata, rtp_payload_opus;
/* Sound without frames: its encodings have a file in common. */
enum {
	RTP_PCM_ENCODINGS = 12
};
extern const struct rtp_payload rtp_payloads_pcm[RTP_PCM_ENCODINGS];

/* Whether the marker bit ends pictures; believed after it did once. */
enum rtp_marker {
	RTP_MARKER_UNKNOWN,
	RTP_MARKER_TRUE,
	RTP_MARKER_FALSE
};

enum {
	RTP_AAC_CONFIG_BYTES = 64,
	RTP_AAC_UNIT_BYTES = 65536 /* the largest AU, or the largest element of several */
};

struct rtp_aac {
	uint8_t config[RTP_AAC_CONFIG_BYTES];
	bool guessed; /* the config; an ADTS header may say better */
	/* of the fmtp, in bits */
	unsigned size_bits, index_bits, index_delta_bits, cts_bits, dts_bits, random_access_bits,
		state_bits, auxiliary_bits;
	uint32_t constant_bytes; /* of each AU, 0 when its header says it */
	size_t expected;         /* bytes of the AU that is being collected from fragments, or 0 */
};

/* ISO/IEC 14496-3 section 1.7.3: what a StreamMuxConfig says. */
struct rtp_latm_mux {
	uint8_t config[RTP_AAC_CONFIG_BYTES]; /* the AudioSpecificConfig, or a guess */
	size_t config_bytes;
	unsigned subframes;      /* of an AudioMuxElement; 0 while there is no StreamMuxConfig */
	uint32_t constant_bytes; /* of each frame; 0 when its length stands before it */
	uint32_t other_bits;     /* behind the frames */
};

struct rtp_latm {
	bool in_band; /* AudioMuxElements tell about a StreamMuxConfig */
	bool lost;    /* packets before the element that is being collected */
	struct rtp_latm_mux mux;
};

struct rtp_pcm {
	uint8_t frame_bytes; /* a sample of each channel; G.726: 1 */
	bool swap;           /* 16-bit samples come little endian */
};

/* JPEG: quantisation tables of two components at most, one behind the other, as they came. */
struct rtp_jpeg_tables {
	uint8_t q;         /* what they were sent for; 0: none yet */
	uint8_t precision; /* bit i: table i has 16-bit entries */
	uint8_t n;
	uint8_t data[256];
};
/* The tables of more values of Q than this are not kept: those sent longest ago go. */
enum {
	RTP_JPEG_TABLES = 32
};

struct rtp_jpeg {
	uint16_t width, height; /* of SDP; 0: unknown */
	struct rtp_jpeg_tables tables[RTP_JPEG_TABLES];
	unsigned next_tables;
	uint8_t type;      /* of the picture's first fragment */
	size_t head_bytes; /* of the unit before the scan; 0: the camera sends whole JPEGs */
	bool bare;         /* and no payload headers */
	struct jpeg given;
};

struct rtp_depacketiser {
	const struct rtp_payload *payload;
	struct rtp_depacketiser_events events;
	void *arg;
	bool sets_changed;      /* since the last unit that was given */
	struct rtp_sound sound; /* hz is 0 when it is none */

	/* the unit being collected; limit RTP_UNIT_BYTES, then it is dropped */
	uint8_t *unit;
	size_t bytes, capacity;
	uint32_t timestamp;
	bool started;       /* timestamp is set */
	const char *damage; /* why the unit will be dropped, or NULL */

	/* video: the picture in it */
	bool picture, keyframe, leading;
	bool marked; /* a marker was seen, but markers are not trusted yet */
	enum rtp_marker marker;
	uint32_t given_timestamp; /* of the last picture, for slices that come after its marker */
	bool has_given;
	bool waiting;       /* for a keyframe */
	bool lost;          /* because something was lost, and not because it has just begun */
	bool skip_leading;  /* decoding began at the last keyframe */
	bool open;          /* the unit ends with a NAL unit whose fragments still come */
	size_t open_at;     /* where its length stands */
	bool glued;         /* this camera glues NAL units together with start codes */
	bool sets_of_sdp;   /* the first sets of the stream replace them */
	unsigned don_bytes; /* H.265: 2 when packets carry decoding order numbers */

	union {
		struct h264_sets h264;
		struct h265_sets h265;
		struct rtp_aac aac;
		struct rtp_jpeg jpeg;
		struct rtp_latm latm;
		struct rtp_pcm pcm;
	};
};

/* --- rtp_depacketiser.c --- */

/* Appends to the unit; when it grows too large it becomes damaged. */
void rtp_unit_append(struct rtp_depacketiser *d, const uint8_t *p, size_t n);
/* The unit will be dropped at its end; the first reason stays. `why` is static. */
void rtp_unit_damage(struct rtp_depacketiser *d, const char *why);
/* Hands the collected bytes to the owner, or others. */
void rtp_unit_give(struct rtp_depacketiser *d, uint32_t timestamp, bool keyframe);
void rtp_unit_give_bytes(
	struct rtp_depacketiser *d, const uint8_t *p, size_t n, uint32_t timestamp, bool keyframe);
void rtp_unit_reset(struct rtp_depacketiser *d);

/* Gives what was collected as a whole unit, sound or document, or drops it when it is damaged. */
void rtp_unit_end(struct rtp_depacketiser *d, uint32_t timestamp);

/* --- rtp_aac.c --- */

/* Reads hexadecimal digits into at most size bytes; returns how many. */
size_t rtp_aac_parse_hex(uint8_t *ret, size_t size, const char *p);
/*
 * Makes the depacketiser's sound what an AudioSpecificConfig says; the bytes must live on. Returns
 * 0, or -EINVAL and a static *why.
 */
int rtp_aac_set_sound(
	struct rtp_depacketiser *d, const uint8_t *config, size_t n, const char **why);
/* Writes the config of AAC-LC with that rate and those channels. Returns its bytes, or 0. */
size_t rtp_aac_guess_config(
	uint8_t ret[RTP_AAC_CONFIG_BYTES], uint32_t sample_rate, uint8_t channels);

/* --- rtp_nal.c: pictures out of NAL units --- */

/* Before and after the NAL units of a packet are given. */
void rtp_nal_begin_packet(struct rtp_depacketiser *d, const struct rtp_packet *packet, bool gap);
void rtp_nal_end_packet(struct rtp_depacketiser *d, const struct rtp_packet *packet);
/* A whole NAL unit, or several glued by start codes. */
void rtp_nal_whole(struct rtp_depacketiser *d, const uint8_t *p, size_t n);
/* A NAL unit in pieces: the header, then what follows it. */
void rtp_nal_open(struct rtp_depacketiser *d, const uint8_t *header, size_t header_bytes,
	const uint8_t *p, size_t n);
void rtp_nal_more(struct rtp_depacketiser *d, const uint8_t *p, size_t n);
void rtp_nal_close(struct rtp_depacketiser *d);
/* The FU-A or FU of n payload bytes (without DON) of a NAL unit with this header. */
void rtp_nal_fragment(struct rtp_depacketiser *d, const uint8_t *header, size_t header_bytes,
	uint8_t fu_flags, const uint8_t *p, size_t n);
/* Whether the bytes begin with an Annex B start code, which no payload header looks like. */
bool rtp_nal_is_annexb(const uint8_t *p, size_t n);
/* Takes the sets of an sprop parameter of the fmtp: base64, comma-separated; bad ones are skipped. */
void rtp_nal_take_sprop(struct rtp_depacketiser *d, const char *fmtp, const char *name);
