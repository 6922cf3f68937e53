#include "detection_fields.h"

#include <NvInfer.h>
#include <cuda_fp16.h>

#include <exception>
#include <new>
#include <string>
#include <vector>

static_assert(NV_TENSORRT_MAJOR >= 10, "IPluginV3 came with TensorRT 10; detection_plugin.cpp has the interfaces of TensorRT 8");

namespace surgeon
{

namespace
{

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;

constexpr char const* kVersion = "2";
constexpr int32_t kDone = 0;
constexpr int32_t kFailed = 1;

int32_t complain(std::string const& why) noexcept
{
    log(Severity::kERROR, detection::kExplicitName, why);
    return kFailed;
}

int64_t volumeOfPicture(Dims const& dims) noexcept
{
    int64_t product = 1;
    for (int32_t i = 1; i < dims.nbDims; ++i)
    {
        product *= dims.d[i];
    }
    return product;
}

//! The same as version 1 of the plugin, for networks of TensorRT 10 and later.
class DetectionV3 final : public nvinfer1::IPluginV3,
                          public nvinfer1::IPluginV3OneCore,
                          public nvinfer1::IPluginV3OneBuild,
                          public nvinfer1::IPluginV3OneRuntime
{
public:
    explicit DetectionV3(DetectionFields const& fields)
        : mFields(fields)
    {
        // An engine keeps the fields as the creator takes them; their order is that of DetectionFields.
        auto const* value = reinterpret_cast<char const*>(&mFields);
        for (auto const& spec : detection::specs())
        {
            mStored.emplace_back(spec.name, value, spec.type, 1);
            value += sizeof(int32_t);
        }
        mCollection.nbFields = static_cast<int32_t>(mStored.size());
        mCollection.fields = mStored.data();
    }

    DetectionV3(DetectionV3 const&) = delete;
    DetectionV3& operator=(DetectionV3 const&) = delete;

    nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override
    {
        switch (type)
        {
        case nvinfer1::PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore*>(this);
        case nvinfer1::PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
        case nvinfer1::PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }

    nvinfer1::IPluginV3* clone() noexcept override
    {
        try
        {
            return new DetectionV3(mFields);
        }
        catch (std::exception const& error)
        {
            complain(error.what());
            return nullptr;
        }
    }

    char const* getPluginName() const noexcept override
    {
        return detection::kExplicitName;
    }

    char const* getPluginVersion() const noexcept override
    {
        return kVersion;
    }

    char const* getPluginNamespace() const noexcept override
    {
        return "";
    }

    int32_t getNbOutputs() const noexcept override
    {
        return detection::kOutputs;
    }

    int32_t configurePlugin(
        DynamicPluginTensorDesc const*, int32_t, DynamicPluginTensorDesc const*, int32_t) noexcept override
    {
        return kDone;
    }

    int32_t onShapeChange(PluginTensorDesc const* inputs, int32_t count, PluginTensorDesc const*, int32_t) noexcept override
    {
        int32_t anchors{};
        return fit(inputs, count, [](PluginTensorDesc const& tensor) { return tensor.dims; }, anchors);
    }

    int32_t getOutputDataTypes(DataType* types, int32_t count, DataType const*, int32_t) const noexcept override
    {
        for (int32_t i = 0; i < count; ++i)
        {
            types[i] = DataType::kFLOAT;
        }
        return kDone;
    }

    int32_t getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t, nvinfer1::DimsExprs const*, int32_t,
        nvinfer1::DimsExprs* outputs, int32_t count, nvinfer1::IExprBuilder& builder) noexcept override
    {
        auto const* one = builder.constant(1);
        for (int32_t i = 0; i < count; ++i)
        {
            outputs[i].nbDims = 4;
            outputs[i].d[0] = inputs[detection::kScores].d[0];
            outputs[i].d[1] = one;
            outputs[i].d[2] = i == 0 ? builder.constant(mFields.maxTotal) : one;
            outputs[i].d[3] = i == 0 ? builder.constant(kColumns) : one;
        }
        return kDone;
    }

    //! Encodings and scores are of one type, float32 or float16; all else is float32.
    bool supportsFormatCombination(
        int32_t position, DynamicPluginTensorDesc const* tensors, int32_t, int32_t) noexcept override
    {
        auto const& tensor = tensors[position].desc;
        bool const half = tensor.type == DataType::kHALF && position <= detection::kScores;
        return tensor.format == nvinfer1::PluginFormat::kLINEAR && (half || tensor.type == DataType::kFLOAT)
            && (position != detection::kScores || tensor.type == tensors[detection::kEncodings].desc.type);
    }

    size_t getWorkspaceSize(
        DynamicPluginTensorDesc const* inputs, int32_t count, DynamicPluginTensorDesc const*, int32_t) const noexcept override
    {
        int32_t anchors{};
        auto const largest = [](DynamicPluginTensorDesc const& tensor) { return tensor.max; };
        return fit(inputs, count, largest, anchors) == kDone
            ? detectionWorkspace(mFields, anchors, static_cast<int32_t>(inputs[detection::kScores].max.d[0]))
            : 0;
    }

    int32_t enqueue(PluginTensorDesc const* inputDescs, PluginTensorDesc const*, void const* const* inputs,
        void* const* outputs, void* workspace, cudaStream_t stream) noexcept override
    {
        auto const& scores = inputDescs[detection::kScores];
        auto const batch = static_cast<int32_t>(scores.dims.d[0]);
        if (batch == 0)
        {
            return kDone;
        }
        auto const anchors = static_cast<int32_t>(volumeOfPicture(scores.dims) / mFields.classes);
        auto const status = scores.type == DataType::kHALF ? detectAs<__half>(anchors, batch, inputs, outputs, workspace, stream)
                                                           : detectAs<float>(anchors, batch, inputs, outputs, workspace, stream);
        return status == cudaSuccess ? kDone
                                     : complain(std::string("a kernel did not start: ") + cudaGetErrorString(status));
    }

    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override
    {
        return clone();
    }

    nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override
    {
        return &mCollection;
    }

private:
    template <typename T>
    cudaError_t detectAs(int32_t anchors, int32_t batch, void const* const* inputs, void* const* outputs, void* workspace,
        cudaStream_t stream) const noexcept
    {
        bool const corners = mFields.coding == static_cast<int32_t>(Coding::kCORNERS);
        DetectionTensors<T> const tensors{static_cast<T const*>(inputs[detection::kEncodings]),
            static_cast<T const*>(inputs[detection::kScores]),
            corners ? nullptr : static_cast<float const*>(inputs[detection::kAnchors]), static_cast<float*>(outputs[0]),
            static_cast<int32_t*>(outputs[1])};
        return detect(mFields, anchors, batch, tensors, workspace, stream);
    }

    //! Return kDone where the inputs, whose shapes `dimsOf` tells, go together; `anchors` is their number.
    template <typename Tensor, typename DimsOf>
    int32_t fit(Tensor const* inputs, int32_t count, DimsOf dimsOf, int32_t& anchors) const noexcept
    {
        try
        {
            std::vector<int64_t> volumes;
            for (int32_t i = 0; i < count; ++i)
            {
                volumes.push_back(volumeOfPicture(dimsOf(inputs[i])));
            }
            std::string const why = detection::anchorsOf(mFields, volumes, anchors);
            return why.empty() ? kDone : complain(why);
        }
        catch (std::exception const& error)
        {
            return complain(error.what());
        }
    }

    DetectionFields mFields;
    std::vector<nvinfer1::PluginField> mStored;
    nvinfer1::PluginFieldCollection mCollection{};
};

class DetectionV3Creator final : public nvinfer1::IPluginCreatorV3One
{
public:
    DetectionV3Creator()
        : mSpecs(detection::specs())
    {
        for (auto const& spec : mSpecs)
        {
            mFields.emplace_back(spec.name, nullptr, spec.type, spec.length);
        }
        mCollection.nbFields = static_cast<int32_t>(mFields.size());
        mCollection.fields = mFields.data();
    }

    char const* getPluginName() const noexcept override
    {
        return detection::kExplicitName;
    }

    char const* getPluginVersion() const noexcept override
    {
        return kVersion;
    }

    char const* getPluginNamespace() const noexcept override
    {
        return "";
    }

    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override
    {
        return &mCollection;
    }

    //! The same for a network's node and for an engine, which keeps the fields.
    nvinfer1::IPluginV3* createPlugin(
        char const*, nvinfer1::PluginFieldCollection const* given, nvinfer1::TensorRTPhase) noexcept override
    {
        try
        {
            FieldReader reader(detection::kExplicitName, given, mSpecs);
            DetectionFields fields{};
            if (reader.good())
            {
                fields = detection::read(reader);
            }
            return reader.good() ? new DetectionV3(fields) : nullptr;
        }
        catch (std::exception const& error)
        {
            complain(error.what());
            return nullptr;
        }
    }

private:
    std::vector<FieldSpec> mSpecs;
    std::vector<nvinfer1::PluginField> mFields;
    nvinfer1::PluginFieldCollection mCollection{};
};

} // namespace

REGISTER_TENSORRT_PLUGIN(DetectionV3Creator);

} // namespace surgeon
