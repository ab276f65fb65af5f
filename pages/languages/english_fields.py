"""The English of what is wrong with a field of a request or of a record; each reason goes on after a colon."""

FIELDS = {
    "字段 {field:word} {reason:message}": "Field {field}: {reason}",
    "未知字段 {name}": "Unknown field {name}",
    "参数 domain 缺失": "Parameter domain: missing",
    "参数 domain {reason:message}": "Parameter domain: {reason}",
    "{item}: {reason:message}": "{item}: {reason}",
    "缺失": "missing",
    "必须是字符串": "must be a string",
    "必须是 true 或 false": "must be true or false",
    "必须是非负整数": "must be a whole number, not negative",
    "必须是 0 到 {most:number} 的整数": "must be a whole number from 0 to {most}",
    "必须是大小，例如 500 MB、2 GiB，或不带单位的字节数": (
        "must be a size, such as 500 MB, 2 GiB, or bytes without a unit"
    ),
    "必须是 1 到 {most:number} 的整数（秒）": "must be a whole number of seconds from 1 to {most}",
    "必须是 1 到 {most:number} 的整数（分钟）": "must be a whole number of minutes from 1 to {most}",
    "必须是 {allowed:list} 之一": "must be one of {allowed}",
    "必须是对象，可含 {known:list}": "must be an object, which may hold {known}",
    "不能超过 {most:number} 个字符": "must not be longer than {most} characters",
    "必须是 1 到 64 个字符，仅限 A-Z a-z 0-9 . _ -，并以字母或数字开头": (
        "must be 1 to 64 characters of A-Z a-z 0-9 . _ - and start with a letter or digit"
    ),
    "必须是 username/id 的形式": "must have the form username/id",
    "必须是 1 到 {most:number} 个可打印的 ASCII 字符": "must be 1 to {most} printable ASCII characters",
    "必须是 ISO 8601 时间，例如 2026-12-01T08:00:00+08:00（+ 写作 %2B）": (
        "must be an ISO 8601 time, such as 2026-12-01T08:00:00+08:00 (write + as %2B)"
    ),
    "必须是一年之内的将来时间": "must be a time to come within a year",
    "必须是单独的文件名，不含路径，不以点开头": "must be a bare file name, without a path, and not start with a dot",
    "必须是站点内的文件名或路径，不以斜杠或点开头": (
        "must be a file name or path within the site, and not start with a slash or a dot"
    ),
    "必须是站点内的路径或完整地址，最多 {most:number} 个字符": (
        "must be a path within the site or a full address, of at most {most} characters"
    ),
    "必须以 / 开头，且不能是管理接口的路径": "must start with / and not be a path of the Admin API",
    "不是有效的地址": "not a valid address",
    "的主机不属于该站点": "the host is not one of the site's",
    "压缩包内没有文件夹: {folder}": "the archive has no such folder: {folder}",
    # Domains.
    "必须是域名数组，最多 {most:number} 个": "must be an array of domains, at most {most}",
    "包含重复的域名": "holds a domain twice",
    "不能包含主域名 {domain}": "must not hold the main domain {domain}",
    "长度必须为 1 到 253 个字符": "must be 1 to 253 characters long",
    "不是有效的域名（不含端口、下划线、空格或通配符）": (
        "not a valid domain name (which holds no port, underscore, blank or wildcard)"
    ),
    "不是有效的国际化域名": "not a valid internationalized domain name",
    "不是有效的 IPv4 地址": "not a valid IPv4 address",
    "通配符之后必须是域名": "after the wildcard must come a domain name",
    "端口无效": "the port is not valid",
    # Records.
    "不是 JSON 对象": "not a JSON object",
    "无法读取": "cannot be read",
    "时间不合理: {text}": "a time is out of all reason: {text}",
    "username 和 id 必须与文件位置一致: {username:first}/{site_id}": (
        "username and id must be those of the file's place: {username}/{site_id}"
    ),
    "必须是 1 到 {most:number} 个字符": "must be 1 to {most} characters",
    # Tokens.
    "缺失：给出 site 时必须同时给出": "is missing, and has to come with site",
    "必须是 1 到 {most:number} 个可打印字符": "must be 1 to {most} printable characters",
    "必须是非空列表，只能包含 {actions:list}": "must be a list that is not empty, of {actions}",
    "必须是 {days:number} 天之内的将来时间": "must be a time to come within {days} days",
    "必须是 ISO 8601 时间，例如 2026-12-01T08:00:00+08:00": (
        "must be an ISO 8601 time, like 2026-12-01T08:00:00+08:00"
    ),
}
