#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "server/base/attributes.h"

/* Lines of commands (RFC 959 section 5.3, RFC 2640 section 3) as clients send them. Pure. */

/* id, word; other words for the same are in ftp_command.c */
#define FTP_VERBS(X)        \
	X(FTP_ABOR, "ABOR") \
	X(FTP_ALLO, "ALLO") \
	X(FTP_APPE, "APPE") \
	X(FTP_AUTH, "AUTH") \
	X(FTP_CDUP, "CDUP") \
	X(FTP_CLNT, "CLNT") \
	X(FTP_CWD, "CWD")   \
	X(FTP_DELE, "DELE") \
	X(FTP_EPRT, "EPRT") \
	X(FTP_EPSV, "EPSV") \
	X(FTP_FEAT, "FEAT") \
	X(FTP_HASH, "HASH") \
	X(FTP_HELP, "HELP") \
	X(FTP_LIST, "LIST") \
	X(FTP_MDTM, "MDTM") \
	X(FTP_MFMT, "MFMT") \
	X(FTP_MKD, "MKD")   \
	X(FTP_MLSD, "MLSD") \
	X(FTP_MLST, "MLST") \
	X(FTP_MODE, "MODE") \
	X(FTP_NLST, "NLST") \
	X(FTP_NOOP, "NOOP") \
	X(FTP_OPTS, "OPTS") \
	X(FTP_PASS, "PASS") \
	X(FTP_PASV, "PASV") \
	X(FTP_PBSZ, "PBSZ") \
	X(FTP_PORT, "PORT") \
	X(FTP_PROT, "PROT") \
	X(FTP_PWD, "PWD")   \
	X(FTP_QUIT, "QUIT") \
	X(FTP_REST, "REST") \
	X(FTP_RETR, "RETR") \
	X(FTP_RMD, "RMD")   \
	X(FTP_RNFR, "RNFR") \
	X(FTP_RNTO, "RNTO") \
	X(FTP_SIZE, "SIZE") \
	X(FTP_STAT, "STAT") \
	X(FTP_STOR, "STOR") \
	X(FTP_STRU, "STRU") \
	X(FTP_SYST, "SYST") \
	X(FTP_TYPE, "TYPE") \
	X(FTP_USER, "USER")

enum ftp_verb {
#define X(id, word) id,
	FTP_VERBS(X)
#undef X
	FTP_VERB_COUNT,
	FTP_UNKNOWN = FTP_VERB_COUNT
};
/* "STOR"; "other" of FTP_UNKNOWN. */
const char *ftp_verb_word(enum ftp_verb verb);

enum {
	FTP_LINE_BYTES = 1024, /* the longest line, its end included */
};

struct ftp_command {
	enum ftp_verb verb;
	/* What stands behind the one blank: UTF-8 without control characters; secret behind PASS. "" when there is nothing. */
	char argument[FTP_LINE_BYTES];
};

/*
 * Takes the first line of n bytes, which no end of a line was in before `seen`. Telnet's commands (RFC 854) are
 * left out of it. Returns the bytes used, 0 for more, or -EMSGSIZE when no line is as long as that. A line that makes
 * no sense has the verb FTP_UNKNOWN and a static reason in *why, else *why is NULL.
 */
ssize_t ftp_command_parse(
	struct ftp_command *ret, const char *p, size_t n, size_t seen, const char **why) MUST_CHECK;
