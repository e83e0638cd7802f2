#pragma once

#include "protocols/rtsp_server_private.h"

/*
 * One request to the RTSP server: what it goes through (rtsp_server_request.c), and what answers it
 * (rtsp_server_methods.c, rtsp_server_setup.c).
 */

enum {
	RTSP_URL_BYTES = URI_HOST_BYTES + URI_PATH_BYTES + 64,
	TRACK_NONE = -1
};

/* What a method needs before it is run. */
enum {
	NEEDS_NOTHING = 0,
	NEEDS_USER = 1 << 0,    /* credentials, when users are configured */
	NEEDS_SOURCE = 1 << 1,  /* something that can be played now and that the user may see */
	NEEDS_SESSION = 1 << 2, /* a session, else 454 */
	/* Whom it is for, else 455; each of them has a permission of its own. */
	FOR_PLAYERS = 1 << 3,
	FOR_PUBLISHERS = 1 << 4,
	FOR_ALL = FOR_PLAYERS | FOR_PUBLISHERS,
	FOR_TALKERS = 1 << 5, /* who are players */
};

struct rtsp_request {
	struct rtsp_connection *c;
	const struct message *message;
	const struct rtsp_method *method;
	struct message_text body, cseq;
	const struct auth_user *user;
	char name[RTSP_NAME_BYTES]; /* of what is to be played; "" for "*" */
	int track;                  /* or TRACK_NONE */
	bool asks_group;            /* the query says that it is to be described as multicast */
	char base[RTSP_URL_BYTES];  /* rtsp://host:port/name/ */
	struct rtsp_source *source;
	struct rtsp_session *session;
	struct evbuffer *fields; /* of the answer, with CRLF */
	bool answered, waits;    /* waits: for the source, and is read again then */
};

struct rtsp_method {
	const char *name;
	unsigned needs;
	/* Answers and returns false when the request cannot be run; may be NULL. */
	bool (*check)(struct rtsp_request *r);
	void (*run)(struct rtsp_request *r);
};

/* --- answers; each is the request's only one --- */

/* One more field of the answer. */
void rtsp_add_field(struct rtsp_request *r, const char *format, ...) PRINTF(2, 3);
void rtsp_answer(struct rtsp_request *r, int status);
/* With words of its own and a body, which is emptied; NULL: none. */
void rtsp_answer_with(
	struct rtsp_request *r, int status, const char *reason, struct evbuffer *body);
void rtsp_answer_session(struct rtsp_request *r, int status); /* with the session's id */
void rtsp_answer_unavailable(struct rtsp_request *r);         /* 503, and when to come again */
/* None yet: the request is read again when the source can say more. */
void rtsp_wait_for_source(struct rtsp_request *r, struct rtsp_source *source);

/* --- what is asked about a request --- */

/* Whether the user may do what is for one of these, by the scope of his password and his role. */
bool rtsp_request_may(const struct rtsp_request *r, unsigned whom);
/* 0, or as check_talk() of a source says. */
int rtsp_check_talk(const struct rtsp_request *r);
/* Whether the URL is the source's; what is published has track URLs of its own. */
bool rtsp_names_source(const struct rtsp_request *r, const struct rtsp_source *source);
/* Our own address without port and brackets, as this client reached it. */
void rtsp_local_host(const struct rtsp_request *r, char *ret, size_t size);

/* --- methods --- */

/* Finds it, or answers and returns false. */
bool rtsp_find_method(struct rtsp_request *r);
bool rtsp_check_setup(struct rtsp_request *r);
void rtsp_run_setup(struct rtsp_request *r);
