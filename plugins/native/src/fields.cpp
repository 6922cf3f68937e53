#include "fields.h"

#include <cmath>
#include <cstring>

namespace surgeon
{

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

namespace
{

std::string quoted(char const* name)
{
    return "'" + std::string(name) + "'";
}

char const* typeName(PluginFieldType type)
{
    switch (type)
    {
    case PluginFieldType::kFLOAT16: return "float16";
    case PluginFieldType::kFLOAT32: return "float32";
    case PluginFieldType::kFLOAT64: return "float64";
    case PluginFieldType::kINT8: return "int8";
    case PluginFieldType::kINT16: return "int16";
    case PluginFieldType::kINT32: return "int32";
    case PluginFieldType::kCHAR: return "char";
    case PluginFieldType::kDIMS: return "dims";
    default: return "of an unknown type";
    }
}

} // namespace

FieldReader::FieldReader(
    char const* plugin, nvinfer1::PluginFieldCollection const* fields, std::vector<FieldSpec> const& specs)
    : mPlugin(plugin)
    , mFields(fields)
{
    if (fields == nullptr || fields->nbFields < 0 || (fields->nbFields > 0 && fields->fields == nullptr))
    {
        refuse("no collection of fields was given; expected one");
        return;
    }
    for (int32_t i = 0; i < fields->nbFields; ++i)
    {
        char const* name = fields->fields[i].name;
        bool known = false;
        for (auto const& spec : specs)
        {
            known = known || (name != nullptr && std::strcmp(name, spec.name) == 0);
        }
        if (!known)
        {
            log(Severity::kWARNING, mPlugin, "the field " + quoted(name == nullptr ? "" : name) + " is not known; it is ignored");
        }
    }
}

int32_t FieldReader::integer(char const* name, int32_t low, int32_t high)
{
    auto const* field = required(name, PluginFieldType::kINT32, 1);
    if (field == nullptr)
    {
        return low;
    }
    int32_t value{};
    std::memcpy(&value, field->data, sizeof(value));
    return inRange(name, value, low, high) ? value : low;
}

float FieldReader::number(char const* name)
{
    auto const* field = required(name, PluginFieldType::kFLOAT32, 1);
    return field == nullptr ? 0.0F : finite(*field);
}

float FieldReader::number(char const* name, float otherwise)
{
    auto const* field = mGood ? find(name) : nullptr;
    if (field == nullptr)
    {
        return otherwise;
    }
    field = checked(field, PluginFieldType::kFLOAT32, 1);
    return field == nullptr ? otherwise : finite(*field);
}

std::vector<int32_t> FieldReader::integers(char const* name, int32_t most, int32_t low, int32_t high)
{
    auto const* field = required(name, PluginFieldType::kINT32, most);
    if (field == nullptr)
    {
        return {};
    }
    std::vector<int32_t> values(static_cast<size_t>(field->length));
    std::memcpy(values.data(), field->data, values.size() * sizeof(int32_t));
    for (auto const value : values)
    {
        if (!inRange(name, value, low, high))
        {
            return {};
        }
    }
    return values;
}

void FieldReader::refuse(std::string const& why)
{
    if (mGood)
    {
        log(Severity::kERROR, mPlugin, why);
    }
    mGood = false;
}

PluginField const* FieldReader::find(char const* name) const
{
    for (int32_t i = 0; i < mFields->nbFields; ++i)
    {
        auto const& field = mFields->fields[i];
        if (field.name != nullptr && std::strcmp(field.name, name) == 0)
        {
            return &field;
        }
    }
    return nullptr;
}

PluginField const* FieldReader::required(char const* name, PluginFieldType type, int32_t most)
{
    if (!mGood)
    {
        return nullptr;
    }
    auto const* field = find(name);
    if (field == nullptr)
    {
        refuse("the field " + quoted(name) + " is missing; expected " + typeName(type));
        return nullptr;
    }
    return checked(field, type, most);
}

PluginField const* FieldReader::checked(PluginField const* field, PluginFieldType type, int32_t most)
{
    if (field->type != type)
    {
        refuse("the field " + quoted(field->name) + " is " + typeName(field->type) + "; expected " + typeName(type));
        return nullptr;
    }
    if (field->length < 1 || field->length > most)
    {
        refuse("the field " + quoted(field->name) + " has " + std::to_string(field->length) + " values; expected "
            + (most == 1 ? "1" : "1 to " + std::to_string(most)));
        return nullptr;
    }
    if (field->data == nullptr)
    {
        refuse("the field " + quoted(field->name) + " has no data; expected " + typeName(type));
        return nullptr;
    }
    return field;
}

float FieldReader::finite(PluginField const& field)
{
    float value{};
    std::memcpy(&value, field.data, sizeof(value));
    if (!std::isfinite(value))
    {
        refuse("the field " + quoted(field.name) + " is " + std::to_string(value) + "; expected a finite number");
        return 0.0F;
    }
    return value;
}

bool FieldReader::inRange(char const* name, int32_t value, int32_t low, int32_t high)
{
    if (value >= low && value <= high)
    {
        return true;
    }
    std::string const expected = high == std::numeric_limits<int32_t>::max()
        ? std::to_string(low) + " at least"
        : std::to_string(low) + " to " + std::to_string(high);
    refuse("the field " + quoted(name) + " is " + std::to_string(value) + "; expected " + expected);
    return false;
}

} // namespace surgeon
