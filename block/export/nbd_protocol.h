// The NBD protocol's numbers. Source: "The NBD protocol", NetworkBlockDevice/nbd, doc/proto.md. All integers
// are big-endian on the wire.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string_view>

namespace rhea::nbd {

inline constexpr uint64_t kInitMagic = 0x4e42444d41474943;    // "NBDMAGIC"
inline constexpr uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr uint64_t kOldMagic = 0x0000420281861253;     // oldstyle servers
inline constexpr uint64_t kReplyMagic = 0x0003e889045565a9;   // of an answer to an option
inline constexpr uint32_t kRequestMagic = 0x25609513;
inline constexpr uint32_t kSimpleReplyMagic = 0x67446698;
inline constexpr uint32_t kStructuredReplyMagic = 0x668e33ef;

// Handshake flags, the server's and the client's alike.
inline constexpr uint16_t kFixedNewstyle = 1;
inline constexpr uint16_t kNoZeroes = 2;

namespace option {
inline constexpr uint32_t kExportName = 1, kAbort = 2, kList = 3, kPeekExport = 4, kStartTls = 5, kInfo = 6,
                          kGo = 7, kStructuredReply = 8, kListMetaContext = 9, kSetMetaContext = 10;
}
/// "export name", "go" …; "<unknown>".
constexpr std::string_view option_name(uint32_t o) {
  constexpr std::string_view kNames[] = {"<unknown>",
                                         "export name",
                                         "abort",
                                         "list",
                                         "peek export",
                                         "starttls",
                                         "info",
                                         "go",
                                         "structured reply",
                                         "list meta context",
                                         "set meta context"};
  return o < std::size(kNames) ? kNames[o] : kNames[0];
}

namespace rep {
inline constexpr uint32_t kAck = 1, kServer = 2, kInfo = 3, kMetaContext = 4;
inline constexpr uint32_t kErrorBit = 1u << 31;
inline constexpr uint32_t kUnsupported = kErrorBit | 1, kPolicy = kErrorBit | 2, kInvalid = kErrorBit | 3,
                          kPlatform = kErrorBit | 4, kTlsRequired = kErrorBit | 5, kUnknown = kErrorBit | 6,
                          kShutdown = kErrorBit | 7, kBlockSizeRequired = kErrorBit | 8,
                          kTooBig = kErrorBit | 9;
}  // namespace rep

namespace info {
inline constexpr uint16_t kExport = 0, kName = 1, kDescription = 2, kBlockSize = 3;
}

// Transmission flags: what an export is and what its server takes.
namespace flag {
inline constexpr uint16_t kHasFlags = 1, kReadOnly = 2, kSendFlush = 4, kSendFua = 8, kRotational = 16,
                          kSendTrim = 32, kSendWriteZeroes = 64, kSendDf = 128, kCanMultiConn = 256,
                          kSendResize = 512, kSendCache = 1024, kSendFastZero = 2048;
}

namespace cmd {
inline constexpr uint16_t kRead = 0, kWrite = 1, kDisconnect = 2, kFlush = 3, kTrim = 4, kCache = 5,
                          kWriteZeroes = 6, kBlockStatus = 7;
inline constexpr uint16_t kFlagFua = 1, kFlagNoHole = 2, kFlagDf = 4, kFlagReqOne = 8, kFlagFastZero = 16;
}  // namespace cmd
/// "read", "write" …; "<unknown>".
constexpr std::string_view command_name(uint16_t c) {
  constexpr std::string_view kNames[] = {"read",    "write", "disconnect",   "flush",
                                         "discard", "cache", "write zeroes", "block status"};
  return c < std::size(kNames) ? kNames[c] : "<unknown>";
}

// Chunks of a structured reply.
namespace chunk {
inline constexpr uint16_t kDone = 1;  // flag
inline constexpr uint16_t kNone = 0, kOffsetData = 1, kOffsetHole = 2, kBlockStatus = 5;
inline constexpr uint16_t kErrorBit = 1 << 15;
inline constexpr uint16_t kError = kErrorBit | 1, kErrorOffset = kErrorBit | 2;
}  // namespace chunk

// base:allocation
inline constexpr uint32_t kStateHole = 1, kStateZero = 2;

/// The longest string the protocol allows.
inline constexpr uint32_t kMaxString = 4096;
/// The most bytes a read or write carries; what clients may rely on.
inline constexpr uint32_t kMaxPayload = 32u << 20;
inline constexpr uint16_t kDefaultPort = 10809;

/// The number an errno has on the wire.
constexpr uint32_t to_wire_errno(int e) {
  switch (e) {
    case 0:
      return 0;
    case EPERM:
    case EROFS:
      return 1;
    case EIO:
      return 5;
    case ENOMEM:
      return 12;
    case EFBIG:
    case ENOSPC:
    case EDQUOT:
      return 28;
    case EOVERFLOW:
      return 75;
    case ENOTSUP:
      return 95;
    case ESHUTDOWN:
      return 108;
    default:
      return 22;
  }
}
/// The errno of a number from the wire.
constexpr int from_wire_errno(uint32_t e) {
  switch (e) {
    case 0:
      return 0;
    case 1:
      return EPERM;
    case 5:
      return EIO;
    case 12:
      return ENOMEM;
    case 28:
      return ENOSPC;
    case 75:
      return EOVERFLOW;
    case 95:
      return ENOTSUP;
    case 108:
      return ESHUTDOWN;
    default:
      return EINVAL;
  }
}

}  // namespace rhea::nbd
